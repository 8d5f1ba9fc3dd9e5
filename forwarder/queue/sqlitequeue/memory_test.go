package sqlitequeue

import (
	"runtime"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/trials"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/memtable"
)

// Memory does not grow with the number of waiting events.
func TestMemory(t *testing.T) { // not parallel: the memory of other tests would count
	q, _ := openNew(t)
	q.names = memtable.NewNames(1000)
	used := func() int64 {
		flush(t, q)
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	n := 0
	more := func(events int) {
		t.Helper()
		for range events / 10_000 {
			putMany(t, q, time.Now().Format(time.RFC3339Nano), 10_000, "away", "ehr")
			n += 10_000
		}
	}
	more(50_000) // the caches are full by then
	before := used()
	more(trials.Of(15) * 10_000)
	if after := used(); after-before > 4<<20 {
		t.Errorf("%d bytes of memory with 50,000 waiting events, and %d more with %d", before, after-before, n)
	}
	if s, err := q.Stats(); err != nil || s.Upstreams["away"].Pending != int64(n) {
		t.Errorf("%+v, %v", s, err)
	}
}

// The cache of just stored events keeps to its limit, and drops delivered events.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	q.recent = policy.NewRecent(20_000)
	putMany(t, q, "e", 200, "ehr")
	if n := q.recent.Bytes(); n > 20_000 || n < 15_000 {
		t.Errorf("%d bytes are kept", n)
	}
	ds := take(t, q, "ehr", 200)
	kept := 0
	for _, d := range ds {
		if q.recent.Get(seqOf(d)) != nil {
			kept++
		}
		if e, err := q.Load(d); err != nil || e.ID != d.EventID {
			t.Errorf("Load(%s): %v", d.EventID, err)
		}
		q.Settle(outcomeOf(q, d, "delivered"))
	}
	flush(t, q)
	if n := q.recent.Bytes(); n != 0 || kept == 0 || kept == len(ds) {
		t.Errorf("%d bytes are kept after the last delivery; %d events were kept before", n, kept)
	}
}
