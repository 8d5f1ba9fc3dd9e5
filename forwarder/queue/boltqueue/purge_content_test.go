package boltqueue

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// sealedOf takes an event's sealed payload out of the file.
func sealedOf(t *testing.T, q *Queue, id string) []byte {
	t.Helper()
	var sealed []byte
	seq := seqOf(t, q, id)
	if err := q.view(func(tx *bbolt.Tx) error {
		sealed = bytes.Clone(tx.Bucket([]byte(bucketPayloads)).Get(seqKey(seq)))
		return nil
	}); err != nil || len(sealed) < sealedHeader {
		t.Fatalf("%s has no payload: %v", id, err)
	}
	return sealed
}

// lies reports whether any piece of a sealed payload is in a directory's files.
func lies(t *testing.T, dir string, sealed []byte) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	const piece = 24 // the first is the nonce
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for at := len(fingerprint{}); at+piece <= len(sealed); at += piece {
			if bytes.Contains(content, sealed[at:at+piece]) {
				return true
			}
		}
	}
	return false
}

// What has been delivered or purged cannot be read through the queue at once,
// and is nowhere in the file after it has been compacted. It is looked for by
// its sealed bytes: no key is needed to find them, and whoever gets one later
// must find nothing to open.
func TestDeletedPayloadsLeaveTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := queue.DefaultSettings()
	q := mustOpen(t, Options{Path: filepath.Join(dir, "queue.db"), Settings: s})
	const others = 200
	for i := range others {
		store(t, q, fmt.Sprint("other-", i), "warehouse")
	}
	for _, id := range []string{"delivered", "everywhere", "dead", "purged"} {
		upstreams := []string{"ehr"}
		if id == "everywhere" {
			upstreams = append(upstreams, "lab")
		}
		store(t, q, id, upstreams...)
	}
	if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("quarantined", q.now()), Quarantined: true}); err != nil {
		t.Fatal(err)
	}
	deleted := []string{"delivered", "everywhere", "dead", "purged", "quarantined"}
	sealed := make(map[string][]byte)
	for _, id := range append(deleted, "other-7") {
		sealed[id] = sealedOf(t, q, id)
		if !lies(t, dir, sealed[id]) {
			t.Fatalf("%s is not in the file to begin with: the search finds nothing", id)
		}
	}

	for _, upstream := range []string{"ehr", "lab"} {
		for _, d := range claim(t, q, upstream, 10) {
			o := queue.Outcome{Delivery: d, State: queue.Delivered, Result: queue.Success}
			switch d.EventID {
			case "dead":
				o.State, o.Result = queue.Dead, queue.Gone
			case "purged":
				q.Release(d)
				continue
			}
			q.Settle(o)
		}
		if upstream == "ehr" {
			flush(t, q)
			if _, err := q.Payload(t.Context(), "everywhere"); err != nil {
				t.Errorf("an upstream is still without it, and its payload is gone: %v", err)
			}
		}
	}
	flush(t, q)
	for _, s := range []queue.PurgeSelection{{Dead: true}, {Quarantined: true}, {Upstream: "ehr"}} {
		if n, err := q.Purge(t.Context(), s); n != 1 || err != nil {
			t.Fatalf("purged %d, %v", n, err)
		}
	}
	for id, want := range map[string]error{
		"delivered": queue.ErrNoPayload, "everywhere": queue.ErrNoPayload,
		"dead": queue.ErrNotFound, "purged": queue.ErrNotFound, "quarantined": queue.ErrNotFound,
	} {
		if e, err := q.Payload(t.Context(), id); e != nil || !errors.Is(err, want) {
			t.Errorf("%s can still be read: %v", id, err)
		}
	}

	if _, err := any(q).(queue.Compacter).Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range deleted {
		if lies(t, dir, sealed[id]) {
			t.Errorf("after compacting, the sealed payload of %s is still in the file", id)
		}
	}
	if !lies(t, dir, sealed["other-7"]) {
		t.Error("what was not deleted is gone: the search finds nothing")
	}
	if _, err := q.Payload(t.Context(), "other-7"); err != nil {
		t.Error(err)
	}
	mustClose(t, q)
	for _, id := range deleted {
		if lies(t, dir, sealed[id]) {
			t.Errorf("after closing, the sealed payload of %s is in the file again", id)
		}
	}
}
