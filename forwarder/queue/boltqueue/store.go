package boltqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

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
	s, err := q.newStoring(ctx, it)
	if err != nil {
		return queue.Receipt{}, err
	}
	for {
		err := q.storeOnce(ctx, it, s)
		switch {
		case errors.Is(err, errStaleKey):
			continue // sealed anew, with the key that took its place
		case err != nil:
			return queue.Receipt{}, fmt.Errorf("storing event %s: %w", it.Event.ID, err)
		}
		return queue.Receipt{Duplicate: s.duplicate}, nil
	}
}

func (q *Queue) storeOnce(ctx context.Context, it queue.Item, s *storing) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.keep {
		sealed, err := q.ring.Load().seal(it.Event)
		if err != nil {
			return err
		}
		s.sealed = sealed
	}
	if err := q.intake.store(s); err != nil {
		return err
	}
	select {
	case err := <-s.answer:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-s.answer:
		return err
	default:
	}
	if cause := q.intake.cause(s); cause != nil {
		return fmt.Errorf("%w, and the time to wait for it is over", cause)
	}
	return ctx.Err()
}

// A storing is a store that waits for its transaction.
type storing struct {
	ctx    context.Context //nolint:containedctx // it ends the wait, and with it the store
	record record          // as it is stored; not to be changed
	keep   bool            // whether the payload is kept
	sealed []byte
	stale  func(fingerprint) bool
	answer chan error // holds one

	duplicate bool
	full      bool
	unknown   bool // it was no duplicate when that was last looked at by itself

	cause error // why it still waits; guarded by the intake's mutex
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
		stale:  func(f fingerprint) bool { return q.ring.Load().sealer != f },
		answer: make(chan error, 1),
	}
	if s.record.receivedAt == 0 {
		s.record.receivedAt = nanos(q.now())
	}
	if !it.Quarantined {
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

func (s *storing) withdrawn() bool { return s.ctx.Err() != nil }

func (s *storing) apply(t *txn) error {
	s.duplicate, s.full = false, false
	if v := t.get(bucketIDs, []byte(s.record.id)); v != nil {
		receivedAt, seq := parseTimeSeq(v)
		if seq != 0 || !t.forgotten(receivedAt) {
			s.duplicate = true
			return t.err
		}
		t.del(bucketHusks, append(timeKey(receivedAt), s.record.id...))
	}
	size := int64(len(s.sealed))
	if limit := t.settings.MaxSize; limit > 0 && size > 0 && t.count(countBytes)+size > limit {
		s.full = true
		return t.err
	}

	r := s.record
	r.deliveries = slices.Clone(r.deliveries)
	seq := t.nextSeq()
	if s.keep {
		r.payload, r.size, r.key = true, size, fingerprint(s.sealed)
		if s.stale(r.key) {
			return errStaleKey
		}
		t.put(bucketPayloads, seqKey(seq), s.sealed)
		t.add(countBytes, size)
		t.stored += size
		t.add(countSealed+string(r.key[:]), 1)
	}
	for i := range r.deliveries {
		t.index(seq, &r.deliveries[i])
		t.wakeUp(r.deliveries[i].upstream)
	}
	if r.quarantined {
		t.put(bucketQuarantined, seqKey(seq), nil)
		t.add(countQuarantined, 1)
	}
	if len(r.deliveries) == 0 {
		t.end(seq, &r)
	}
	t.putRecord(seq, &r)
	t.put(bucketIDs, []byte(r.id), timeSeqKey(r.receivedAt, seq))
	return t.err
}

func (s *storing) done(err error) { s.answer <- err }

// answerKnown answers the stores that wait for an event that is in the store
// already. It is called while nothing can be written, which they need not wait
// for.
func (q *Queue) answerKnown() {
	var known []*storing
	for _, s := range q.intake.unknowns() {
		s.unknown = true
		_ = q.view(func(tx *bbolt.Tx) error { // where it cannot be read, it waits
			if _, seq := parseTimeSeq(tx.Bucket([]byte(bucketIDs)).Get([]byte(s.record.id))); seq != 0 {
				known = append(known, s)
			}
			return nil
		})
	}
	if len(known) == 0 {
		return
	}
	q.intake.drop(known)
	for _, s := range known {
		s.duplicate = true
		s.done(nil)
	}
}
