package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The longest names that become keys, in bytes.
const (
	maxID       = 1024
	maxUpstream = 255
)

// errStaleKey says that another key seals since before the payload was
// committed. The older key may be taken away as soon as nothing that is in the
// store needs it.
var errStaleKey = errors.New("another key than the payload's seals now")

// Store implements queue.Queue.
func (q *Queue) Store(ctx context.Context, it queue.Item) (queue.Receipt, error) {
	for {
		duplicate, err := q.storeOnce(ctx, it)
		switch {
		case errors.Is(err, errStaleKey):
			continue // sealed anew, with the key that took its place
		case err != nil:
			return queue.Receipt{}, err
		}
		return queue.Receipt{Duplicate: duplicate}, nil
	}
}

func (q *Queue) storeOnce(ctx context.Context, it queue.Item) (duplicate bool, err error) {
	s, err := q.newStoring(ctx, it)
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("storing event %s: %w", it.Event.ID, err)
		}
	}()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	only := q.intake.note(s) // or the transaction of the other decides
	if only && q.knows(s.record.id) {
		q.intake.forget(s)
		return true, nil
	}
	if s.keep {
		sealed, err := q.ring.Load().seal(it.Event)
		if err != nil {
			q.intake.forget(s)
			return false, err
		}
		s.seal(sealed)
	}
	if err := q.intake.store(s, only); err != nil {
		q.intake.forget(s)
		return false, err
	}
	select {
	case a := <-s.answer:
		return a.duplicate, a.err
	case <-ctx.Done():
	}
	select {
	case a := <-s.answer:
		return a.duplicate, a.err
	default:
	}
	if cause := q.intake.cause(s); cause != nil {
		return false, fmt.Errorf("%w, and the time to wait for it is over", cause)
	}
	return false, ctx.Err()
}

// A storing is a store that waits for its transaction.
type storing struct {
	ctx    context.Context //nolint:containedctx // it ends the wait, and with it the store
	record record          // as it is stored; not to be changed
	queue  *Queue
	keep   bool        // whether the payload is kept
	sealed []byte      // not to be changed
	answer chan answer // holds one
	told   atomic.Bool

	duplicate bool
	full      bool
	unknown   bool // it was no duplicate when that was last looked at by itself

	cause   error // why it still waits; guarded by the intake's mutex, as is
	counted bool  // whether its bytes are among those that wait

	journaled atomic.Bool // whether it is in the journal, or is to be
	alone     atomic.Bool // whether nothing was known of its event when it began; no other store of that has been under way since
	logState

	memory  memory
	applied []*settling // outcomes that go to the file with it
}

// An answer is what came of a store.
type answer struct {
	duplicate bool
	err       error
}

// tell answers whoever stores, once.
func (s *storing) tell(a answer) {
	if s.told.CompareAndSwap(false, true) {
		s.answer <- a
	}
}

func (s *storing) seal(sealed []byte) {
	s.sealed = sealed
	s.record.payload, s.record.size, s.record.key = true, int64(len(sealed)), fingerprint(sealed)
}

func (q *Queue) newStoring(ctx context.Context, it queue.Item) (*storing, error) {
	e := it.Event
	if e == nil || e.ID == "" || len(e.ID) > maxID {
		return nil, fmt.Errorf("storing an event: its id must have 1 to %d bytes", maxID)
	}
	s := &storing{
		ctx: ctx,
		record: record{
			id:          e.ID,
			provider:    e.Provider,
			typ:         e.ShortType(),
			receivedAt:  nanos(e.ReceivedAt),
			quarantined: it.Quarantined,
		},
		queue:  q,
		answer: make(chan answer, 1),
		memory: memory{event: e},
	}
	if s.record.receivedAt == 0 {
		s.record.receivedAt = nanos(q.now())
	}
	if it.Quarantined {
		s.record.reason = it.Reason
	} else {
		for _, u := range it.Upstreams {
			if u == "" || len(u) > maxUpstream {
				return nil, fmt.Errorf("storing event %s: an upstream's name must have 1 to %d bytes", e.ID, maxUpstream)
			}
			if s.record.delivery(u) == nil {
				s.record.deliveries = append(s.record.deliveries, delivery{upstream: u, state: queue.Pending})
			}
		}
	}
	// An event that nobody wants leaves its trace only.
	s.keep = it.Quarantined || len(s.record.deliveries) > 0
	return s, nil
}

// withdrawn reports whether nobody waits for the store any more. What is in the
// journal, or may be, is stored all the same.
func (s *storing) withdrawn() bool { return s.ctx.Err() != nil && !s.journaled.Load() }

func (s *storing) apply(t *txn) error {
	s.duplicate, s.full, s.applied = false, false, nil
	journaled := s.journaled.Load() // and so there is room for it
	if !journaled || !s.alone.Load() {
		if e := t.lookUp(s.record.id); e.seq != 0 || e.known && !t.forgotten(e.receivedAt) {
			s.duplicate = true
			return t.err
		} else if e.known {
			t.forgetName([]byte(s.record.id), e.receivedAt)
		}
	}
	r := s.record
	if limit := t.settings.MaxSize; limit > 0 && r.size > 0 && !journaled && t.count(countBytes)+r.size > limit {
		s.full = true
		return t.err
	}
	if s.keep && !journaled && s.queue.ring.Load().sealer != r.key {
		return errStaleKey
	}
	r.deliveries = slices.Clone(r.deliveries)
	seq := t.nextSeq()
	if journaled {
		s.applyOutcomes(t, seq, &r)
	}
	t.stored += traceBytes
	if r.payload {
		t.put(bucketPayloads, seqKey(seq), s.sealed)
		t.add(countBytes, r.size)
		t.stored += r.size
		t.add(countSealed+string(r.key[:]), 1)
		t.stale = t.stale || s.queue.ring.Load().sealer != r.key // whoever stored it may have gone
	}
	for i := range r.deliveries {
		d := &r.deliveries[i]
		t.index(seq, d)
		if d.state == queue.Pending {
			t.wakeUp(d.upstream)
		}
	}
	if r.quarantined {
		t.put(bucketQuarantined, seqKey(seq), nil)
		t.add(countQuarantined, 1)
	}
	if !r.has(queue.Pending) {
		t.end(seq, &r)
	}
	t.putRecord(seq, &r)
	t.setName(&r, seq)
	return t.err
}

// applyOutcomes takes in what came of an event that was lent from the journal. Of
// one that has been delivered there is no payload to keep, unless all are kept.
func (s *storing) applyOutcomes(t *txn, seq uint64, r *record) {
	s.applied = s.queue.fresh.take(s, seq)
	for _, o := range s.applied {
		r.delivery(o.outcome.Delivery.Upstream).settle(&o.outcome)
	}
	if r.payload && !r.has(queue.Pending) && r.class() == classDelivered && t.settings.KeepDelivered <= 0 {
		r.forgetPayload()
	}
}

func (s *storing) appendEntry(b []byte, number uint64) []byte {
	return appendEntry(b, number, &s.record, s.sealed)
}

func (s *storing) done(err error) {
	s.queue.intake.forget(s)
	s.tell(answer{s.duplicate, err})
}
