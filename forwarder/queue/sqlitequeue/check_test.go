package sqlitequeue

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Every event of an undamaged store is in all of its indexes.
func TestCheckOfAWholeStore(t *testing.T) {
	t.Parallel()
	s := queue.DefaultSettings()
	s.KeepDelivered = time.Hour
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: s})
	for i, it := range []queue.Item{
		{Upstreams: []string{"ehr"}}, {Upstreams: []string{"ehr", "lab"}}, {}, {State: queue.Unrouted}, {State: queue.Quarantined, Reason: "x"},
	} {
		it.Event = queuetest.Event(string(rune('a'+i)), time.Now())
		if i == 1 {
			it.Event.Type = "com.soapnoteapi.note.failed"
		}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
	c, err := q.Claim("ehr", time.Now(), queue.Want{First: 1})
	if err != nil || len(c.Deliveries) != 1 {
		t.Fatal(c, err)
	}
	q.Settle(queue.Outcome{Delivery: c.Deliveries[0], At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200})
	if err := q.writer.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	next, unnamed, err := q.checkSome(0)
	if err != nil || next == 0 || len(unnamed) > 0 || q.countUnreadable() > 0 {
		t.Errorf("checkSome: %d, %v, %v, %d unreadable", next, unnamed, err, q.countUnreadable())
	}
	if err := q.readers.Snapshot(t.Context(), func(c *tables.Conn) error { return tables.CheckUpstreams(t.Context(), c) }); err != nil {
		t.Error(err)
	}
}

// A repair clears an event that is found unreadable while the tables are inspected.
func TestRepairWhileAnEventIsFoundUnreadable(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	q.surveying.Lock()
	found := make(chan struct{})
	go func() {
		defer close(found)
		q.foundUnreadable(1, policy.ErrDamaged)
	}()
	eventually(t, "the event is counted", func() bool { return q.countUnreadable() == 1 })
	q.forgetUnreadable()
	q.surveying.Unlock()
	<-found
	if n := q.countUnreadable(); n != 0 {
		t.Errorf("%d events count as unreadable after a repair", n)
	}
}

// A damaged row is restored once the disk works again.
func TestRestoreOnAFailingDisk(t *testing.T) {
	t.Parallel()
	q, disk := openNew(t)
	put(t, q, "damaged", "ehr")
	flush(t, q)
	seq := seqOf(take(t, q, "ehr", 1)[0])
	disk.Store(true)
	q.foundUnreadable(seq, tables.ErrEventRow)
	idle(q)
	idle(q) // when this returns, restoring has failed once
	if n := q.countUnreadable(); n != 1 {
		t.Errorf("%d events count as unreadable while the disk fails", n)
	}
	disk.Store(false)
	eventually(t, "the row is restored", func() bool { return q.countUnreadable() == 0 })
}
