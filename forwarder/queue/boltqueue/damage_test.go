package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// seqOf finds an event's place.
func seqOf(t *testing.T, q *Queue, id string) uint64 {
	t.Helper()
	var seq uint64
	if err := q.view(func(tx *bbolt.Tx) (err error) {
		seq, _, err = find(tx, id)
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
			if n, err := q.Purge(t.Context(), queue.Selection{Dead: true}); n != 2 || err != nil {
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
