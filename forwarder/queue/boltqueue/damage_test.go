package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// seqOf finds an event's place.
func seqOf(t *testing.T, q *Queue, id string) uint64 {
	t.Helper()
	q.catchUp(t.Context())
	var seq uint64
	if err := q.view(func(tx *bbolt.Tx) (err error) {
		seq, _, err = find(tx, id, q.recent.seq(id))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return seq
}

func change(t *testing.T, q *Queue, change func(t *txn)) {
	t.Helper()
	if err := q.do(context.Background(), func(t *txn) error { change(t); return nil }); err != nil {
		t.Fatal(err)
	}
}

// A payload opens in its place only, and only whole.
func TestChangedPayload(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(t *txn, a, b []byte)
	}{
		{"another event's", func(t *txn, a, b []byte) {
			ofA, ofB := bytes.Clone(t.get(bucketPayloads, a)), bytes.Clone(t.get(bucketPayloads, b))
			t.put(bucketPayloads, a, ofB)
			t.put(bucketPayloads, b, ofA)
		}},
		{"a bit of the fingerprint", func(t *txn, a, b []byte) { flip(t, a, b, 0) }},
		{"a bit of the nonce", func(t *txn, a, b []byte) { flip(t, a, b, 10) }},
		{"a bit of the text", func(t *txn, a, b []byte) { flip(t, a, b, sealedHeader+5) }},
		{"the last bit", func(t *txn, a, b []byte) { flip(t, a, b, -1) }},
		{"cut short", func(t *txn, a, b []byte) {
			t.put(bucketPayloads, a, []byte{1, 2, 3})
			t.put(bucketPayloads, b, nil)
		}},
		{"deleted", func(t *txn, a, b []byte) { t.del(bucketPayloads, a); t.del(bucketPayloads, b) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
			store(t, q, "a", "ehr")
			store(t, q, "b", "ehr")
			store(t, q, "whole", "ehr")
			a, b := seqKey(seqOf(t, q, "a")), seqKey(seqOf(t, q, "b"))
			change(t, q, func(t *txn) { c.change(t, a, b) })

			ds := claim(t, q, "ehr", 10)
			for _, d := range ds[:2] {
				if _, err := q.Load(d); !errors.Is(err, queue.ErrUnreadable) {
					t.Errorf("Load(%s): %v, want ErrUnreadable", d.EventID, err)
				}
				if _, err := q.Payload(t.Context(), d.EventID); !errors.Is(err, queue.ErrUnreadable) {
					t.Errorf("Payload(%s): %v, want ErrUnreadable", d.EventID, err)
				}
				q.Settle(queue.Outcome{Delivery: d, State: queue.Dead, Result: queue.Failure})
			}
			flush(t, q)
			if _, err := q.Load(ds[2]); err != nil {
				t.Errorf("Load of one that is whole: %v", err)
			}
			if n, err := q.Purge(t.Context(), queue.PurgeSelection{Dead: true}); n != 2 || err != nil {
				t.Errorf("Purge: %d, %v", n, err)
			}
		})
	}
}

func flip(t *txn, a, b []byte, i int) {
	for _, k := range [][]byte{a, b} {
		v := bytes.Clone(t.get(bucketPayloads, k))
		v[(i+len(v))%len(v)] ^= 4
		t.put(bucketPayloads, k, v)
	}
}

// An event whose record cannot be read is set apart where Claim or the sweep
// comes upon it.
func TestDamagedRecord(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	s := queue.DefaultSettings()
	q := mustOpen(t, Options{Path: path, Settings: s})
	store(t, q, "first", "ehr", "warehouse")
	store(t, q, "retry", "ehr")
	store(t, q, "ended", "ehr")
	store(t, q, "whole", "ehr")
	for _, d := range claim(t, q, "ehr", 4) {
		switch d.EventID {
		case "retry":
			q.Settle(queue.Outcome{Delivery: d, State: queue.Pending, Result: queue.Failure, Next: q.now()})
		case "ended":
			q.Settle(queue.Outcome{Delivery: d, State: queue.Dead, Result: queue.Failure})
		default:
			q.Release(d)
		}
	}
	flush(t, q)
	change(t, q, func(t *txn) {
		for seq := range uint64(3) {
			t.put(bucketEvents, seqKey(seq+1), []byte("damaged"))
		}
	})

	if _, err := q.Event(t.Context(), "first"); !errors.Is(err, queue.ErrUnreadable) {
		t.Errorf("Event of a damaged record: %v, want ErrUnreadable", err)
	}
	if p, err := q.Events(t.Context(), queue.Filter{Limit: 10}); err != nil || len(p.Records) != 1 || p.Records[0].ID != "whole" {
		t.Errorf("Events: %+v, %v; want the whole one", p, err)
	}
	if _, err := q.Stats(); err != nil {
		t.Errorf("Stats: %v", err)
	}
	for range 2 {
		ds := claim(t, q, "ehr", 10)
		if len(ds) != 1 || ds[0].EventID != "whole" {
			t.Fatalf("claimed %+v, want the whole one", ds)
		}
		q.Release(ds[0])
		idle(t, q)
	}
	if ds := claim(t, q, "warehouse", 10); len(ds) != 0 {
		t.Fatalf("claimed %+v, want none", ds)
	}
	idle(t, q)
	s.DeadRetention = 1
	q.Configure(s)
	sweep(t, q)
	if n := q.SetApart(); n != 3 {
		t.Errorf("%d events are set apart, want 3", n)
	}
	st, err := q.Stats()
	if u := st.Upstreams["ehr"]; err != nil || u.Pending != 1 || u.InFlight != 0 || len(st.Upstreams) != 1 {
		t.Errorf("Stats: %+v, %v; want one pending", st, err)
	}
	mustClose(t, q)

	q = mustOpen(t, Options{Path: path, Settings: s})
	if ds := claim(t, q, "ehr", 10); len(ds) != 1 {
		t.Fatalf("claimed %+v, want the whole one", ds)
	}
}

// damagePage overwrites the page of a bucket in which a key is, in a file that
// is not in use.
func damagePage(t *testing.T, path, bucket string, key []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	size := int64(db.Info().PageSize)
	var leaf int64
	if err := db.View(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket([]byte(bucket)).Cursor().Seek(key)
		leaf = pageOf(db, k)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(size)), leaf*size); err != nil {
		t.Fatal(err)
	}
}

// pageOf finds the page of the mapped file in which a key is.
func pageOf(db *bbolt.DB, k []byte) int64 {
	info := db.Info()
	return int64(uintptr(unsafe.Pointer(&k[0]))-info.Data) / int64(info.PageSize)
}

// A page of records that cannot be read costs the events in it, and stops none
// of the others.
func TestDamagedPage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	const n = 500
	for i := range n {
		store(t, q, fmt.Sprint("e", i), "ehr", "warehouse")
	}
	mustClose(t, q)
	damagePage(t, path, bucketEvents, seqKey(n/2))

	q = mustOpen(t, o)
	taken := make(map[string]bool)
	for idle(t, q); ; idle(t, q) {
		ds := claim(t, q, "ehr", 50)
		if len(ds) == 0 {
			break
		}
		for _, d := range ds {
			if _, err := q.Load(d); err != nil {
				t.Fatalf("Load(%s): %v", d.EventID, err)
			}
			taken[d.EventID] = true
		}
	}
	lost := n - len(taken)
	if lost == 0 || lost > n/2 {
		t.Fatalf("%d of %d events could be claimed, want all but those of one page", len(taken), n)
	}
	idle(t, q)
	if apart := q.SetApart(); apart != int64(lost) {
		t.Errorf("%d events are set apart, want %d", apart, lost)
	}
	for range n {
		if len(claim(t, q, "warehouse", 10)) == 0 {
			break
		}
		idle(t, q)
	}
	idle(t, q)
	if apart := q.SetApart(); apart != int64(lost) {
		t.Errorf("%d events are set apart after the second upstream has come upon them, want %d", apart, lost)
	}
	st, err := q.Stats()
	if u := st.Upstreams["ehr"]; err != nil || u.Pending != int64(len(taken)) {
		t.Errorf("Stats: %+v, %v; want %d pending", st, err, len(taken))
	}
	store(t, q, "after", "ehr")
	if ds := claim(t, q, "ehr", 10); len(ds) != 1 {
		t.Errorf("claimed %+v, want what was stored after", ds)
	}
	_, err = q.Events(t.Context(), queue.Filter{Limit: n})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "scribegate export") {
		t.Errorf("Events: %v, want an error that names the file and what to do", err)
	}
}

// A delivery whose entry in an index has been changed is found again.
func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	for _, id := range []string{"first", "retry", "whole"} {
		store(t, q, id, "ehr")
	}
	for _, d := range claim(t, q, "ehr", 3) {
		if d.EventID != "retry" {
			q.Release(d)
			continue
		}
		q.Settle(queue.Outcome{Delivery: d, State: queue.Pending, Result: queue.Failure, Used: true, Next: q.now()})
	}
	flush(t, q)
	change(t, q, func(t *txn) {
		t.del(prefixFirst+"ehr", seqKey(1))
		t.put(prefixFirst+"ehr", seqKey(1|1<<20), nil)
		c := t.bucket(prefixRetry + "ehr").Cursor()
		k, _ := c.First()
		changed := bytes.Clone(k)
		changed[12] ^= 4
		t.del(prefixRetry+"ehr", bytes.Clone(k))
		t.put(prefixRetry+"ehr", changed, nil)
	})
	taken := make(map[string]bool)
	for len(taken) < 3 { // or the test runs into its deadline
		for _, d := range claim(t, q, "ehr", 10) {
			taken[d.EventID] = true
			if d.EventID == "retry" && d.Attempts != 1 {
				t.Errorf("claimed %+v, want one attempt", d)
			}
		}
		idle(t, q)
	}
	st, err := q.Stats()
	if u := st.Upstreams["ehr"]; err != nil || u.Pending != 3 || u.InFlight != 3 {
		t.Errorf("Stats: %+v, %v; want three pending and in flight", st, err)
	}
	wantSound(t, q)
}
