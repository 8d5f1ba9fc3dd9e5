package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

// Commit implements policy.Commits.
func (q *Queue) Commit(b *policy.Batch) error {
	err := q.commitBatch(b)
	if b.Task == nil && errors.Is(err, errUnfiled) { // filing is postponed now
		q.repairIfDamaged(err)
		err = q.commitBatch(b)
	}
	return err
}

func (q *Queue) commitBatch(b *policy.Batch) error {
	start := time.Now()
	if n := q.unfiled.Len(); b.NeedsRoom() && n >= maxUnfiled {
		return fmt.Errorf("writing to %s: %w, %d of them; see the log for the reason", q.path, errUnfiled, n)
	}
	if b.NeedsRoom() || b.Completes() {
		if err := q.roomToStore(b); err != nil {
			return err
		}
	}
	t, err := q.begin()
	if err != nil {
		return err
	}
	if err := t.apply(b); err != nil {
		q.rollback()
		if rejectsSelection(err) {
			return err
		}
		return fmt.Errorf("writing to %s: %w", q.path, q.makeRoom(err))
	}
	if err := q.commit(t); err != nil {
		return err
	}
	if q.options.OnCommit != nil {
		q.options.OnCommit(time.Since(start), len(b.Outcomes)+len(b.Stores)+min(1, len(t.published)))
	}
	return nil
}

// rejectsSelection reports whether an error is about the selected events, and not about
// the file.
func rejectsSelection(err error) bool {
	return errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrNoPayload) || errors.Is(err, queue.ErrPending) ||
		errors.Is(err, queue.ErrInvalid) || errors.Is(err, queue.ErrUnrouted) || errors.Is(err, queue.ErrUnreadable)
}

func (t *tx) apply(b *policy.Batch) error {
	if b.Task != nil {
		if err := t.fileAll(); err != nil || b.Task.Do == nil {
			return err
		}
		return b.Task.Do(t)
	}
	t.loadFor(b.Outcomes)
	for _, o := range b.Outcomes {
		if err := t.settle(o); err != nil {
			return err
		}
	}
	known, err := t.lookUp(b.Stores)
	if err != nil {
		return err
	}
	for _, s := range b.Stores {
		if err := t.store(s, known); err != nil {
			return err
		}
	}
	if err := t.insert(`INSERT`+tables.IntoPayload, t.payloads...); err != nil {
		return err
	}
	if b.Probe {
		if err := t.exec(`UPDATE meta SET used_at = max(used_at, ?)`, t.age); err != nil {
			return err
		}
	}
	if err := t.file(t.q.unfiled.Overdue()); err != nil {
		return err
	}
	return t.writeNames(len(t.ids))
}

// loadFor loads the filed events of the outcomes, all at once.
func (t *tx) loadFor(outcomes []*policy.Outcome) {
	var seqs []int64
	for _, o := range outcomes {
		if seq := seqOf(o.Delivery); seq <= t.filed {
			seqs = append(seqs, seq)
		}
	}
	t.loaded = tables.LoadAll(context.Background(), t.c, t.q.upstreams, seqs)
}

// lookUp returns the seqs in table name for the ids of the stores, by hash.
func (t *tx) lookUp(stores []*policy.Store) (map[int64][]int64, error) {
	known := make(map[int64][]int64)
	for some := range tables.Chunks(stores) {
		args := make([]driver.Value, len(some))
		for i, s := range some {
			args[i] = tables.HashOfID(s.Event.ID)
		}
		err := t.c.Query(context.Background(), `WITH wanted (h) AS (`+tables.Values(len(some), 1)+`) SELECT hash, seq FROM wanted CROSS JOIN name ON hash = h`, func(row []driver.Value) error {
			s := tables.Scanner{Row: row}
			hash := s.Int()
			known[hash] = append(known[hash], s.Int())
			return nil
		}, args...)
		if err != nil {
			return nil, err
		}
	}
	return known, nil
}

// store stores an event, unless it is a duplicate or there is not enough room.
func (t *tx) store(s *policy.Store, named map[int64][]int64) error {
	s.Duplicate, s.Full = false, false
	e := s.Event
	if _, added := t.ids[e.ID]; added {
		s.Duplicate = true
		return nil
	}
	hash := tables.HashOfID(e.ID)
	known, err := t.q.withID(context.Background(), t.c, e.ID, append(t.q.names.Find(hash), named[hash]...))
	if err != nil {
		return err
	}
	if known != nil && s.DuplicateOf(&known.Event, t.age, t.settings) {
		s.Duplicate = true
		return nil
	}
	if limit := t.settings.MaxSize; limit > 0 && e.Size > 0 && t.q.counts().Bytes()+t.counts.Bytes()+e.Size > limit {
		s.Full = true
		return nil
	}
	if known != nil {
		if err := t.delete(known); err != nil {
			return err
		}
	}
	if ring := t.q.ring.Load(); e.Size > 0 && e.Key != ring.Sealer() {
		// The sealing key has changed since, and the older key may be removed as soon
		// as no stored event needs it.
		if s.Sealed, err = policy.SealEvent(ring, s.Item.Event); err != nil {
			return err
		}
		e.Key = ring.Sealer()
	}
	if e.EndedAt > 0 {
		e.EndedAt = max(1, t.now)
	}
	if err := t.add(e, s.Sealed); err != nil {
		return err
	}
	seq := t.lastSeq
	t.publish(func() { t.q.stored(seq, s) })
	return nil
}

// stored makes a durable event due.
func (q *Queue) stored(seq int64, s *policy.Store) {
	if len(s.Event.Deliveries) == 0 {
		return
	}
	q.recent.Add(policy.RecentEvent{Seq: seq, Event: s.Item.Event, Upstreams: s.Item.Upstreams, Size: len(s.Sealed)})
	for i := range s.Event.Deliveries {
		name := s.Event.Deliveries[i].Upstream
		if s.Event.Deliveries[i].Blocked {
			continue
		}
		q.leases.of(name).stored(s.Event.ClaimOf(seq, name))
		q.wakeUp(name)
	}
}

// settle records an outcome. If its delivery is no longer pending, the event was purged
// meanwhile, and only the lease ends.
func (t *tx) settle(o *policy.Outcome) error {
	seq, name := seqOf(o.Delivery), o.Delivery.Upstream
	after, err := t.load(seq)
	if err != nil {
		return err
	}
	var settled bool
	var waiting []string
	if after != nil && after.ID == o.Delivery.EventID {
		before := &tables.Record{Seq: seq, Event: *after.Clone()}
		if settled = after.Settle(&o.Outcome, t.now, t.settings.KeepDelivered); settled {
			t.endHeld(after)
			err = t.completeAndUpdate(before, after, o)
		}
		if err != nil {
			return err
		}
		if after.Pending() {
			waiting = after.Waiting()
		}
	}
	t.publish(func() {
		t.q.leases.of(name).settled(seq)
		if len(waiting) == 0 || queue.IsCompletion(name) {
			t.q.dropHeld(seq)
		}
		switch {
		case len(waiting) == 0:
			t.q.recent.Drop(seq)
		case settled && o.Event != nil:
			t.q.recent.Add(policy.RecentEvent{Seq: seq, Event: o.Event, Upstreams: waiting, Size: int(after.Size)})
		case o.State != queue.Pending:
			t.q.recent.Settle(seq, name)
		}
		if settled && o.State == queue.Pending {
			t.q.wakeUp(name) // Claim could not return the due time of this retry
		}
	})
	return nil
}

// completeAndUpdate writes an event after the outcome of an attempt. The end of the
// completion is durable at once, although an unfiled event's other changes are not: an
// event that was completed once must not be completed again after its deliveries.
func (t *tx) completeAndUpdate(before, after *tables.Record, o *policy.Outcome) error {
	if o.State == queue.Delivered && queue.IsCompletion(o.Delivery.Upstream) && after.Size > 0 {
		if err := t.complete(after, o.Event); err != nil {
			return err
		}
	}
	return t.update(before, after)
}

// complete writes the payload row of an event whose completion has ended, with e in place
// of the stored event unless e is nil. A stored event that cannot be read stays as it is:
// its deliveries will find that out. MaxSize does not apply.
func (t *tx) complete(r *tables.Record, e *event.Event) error {
	var sealed []byte
	var err error
	if e == nil {
		sealed, err = tables.LoadPayload(context.Background(), t.c, r.Seq)
		if err == nil && len(sealed) == 0 || errors.Is(err, policy.ErrDamaged) && !errors.Is(err, tables.ErrStructure) {
			return nil
		}
	} else {
		t.q.recent.Replacing(r.Seq)
		ring := t.q.ring.Load()
		sealed, err = policy.SealEvent(ring, e)
		r.Size, r.Key = int64(len(sealed)), ring.Sealer()
		t.freed = true // the previous payload may still be in the WAL
	}
	if err != nil {
		return err
	}
	row, err := tables.PayloadRow(r, sealed)
	if err != nil {
		return err
	}
	return t.insert(`INSERT OR REPLACE`+tables.IntoPayload, row)
}

// Known implements policy.Commits.
func (q *Queue) Known(s *policy.Store) bool {
	if q.writing == nil {
		return false
	}
	known, err := q.findID(q.ctx, q.writing, s.Event.ID)
	if err != nil || known == nil {
		return false
	}
	age, _ := q.age.Now(q.now(), q.elapsed())
	return s.DuplicateOf(&known.Event, policy.Nanos(age), *q.settings.Load())
}

// Lost implements policy.Commits. The lease lasts until the process ends, so that an
// unreadable delivery is not attempted again.
func (q *Queue) Lost(o *policy.Outcome, err error) {
	q.foundUnreadable(seqOf(o.Delivery), fmt.Errorf("recording an attempt at event %s: %w", o.Delivery.EventID, err))
}

// Relieved implements policy.Commits.
func (q *Queue) Relieved(upstream string) { q.wakeUp(upstream) }

// Failed implements policy.Commits.
func (q *Queue) Failed(err error) {
	if err != nil {
		q.writer.Failing()
	}
	q.repairIfDamaged(err)
	if q.options.OnFailure != nil {
		q.options.OnFailure(err)
	}
}

// do makes a change in a transaction of its own.
func (q *Queue) do(ctx context.Context, change func(t *tx) error) error {
	err := q.writer.Do(ctx, func(t any) error { return change(t.(*tx)) })
	q.repairIfDamaged(err)
	return err
}
