package postgresqueue

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// storing stores the events of a batch. Their ids are inserted first: of two nodes that
// store the same event at once, the second waits for the first one's commit, and then finds
// the event.
type storing struct {
	t        *tx
	ids      []string // in order, so that two nodes do not wait for each other
	seqs     []int64
	received []int64
	by       map[string]*policy.Store // that each id is inserted for
	again    map[*policy.Store]*policy.Store
	tight    map[*policy.Store]bool // there is no room for them
	all      []*policy.Store
	inserted map[string]bool
}

func newStoring(t *tx, stores []*policy.Store) *storing {
	s := &storing{
		t: t, all: stores, by: make(map[string]*policy.Store), again: make(map[*policy.Store]*policy.Store), tight: make(map[*policy.Store]bool),
		inserted: make(map[string]bool),
	}
	t.fresh = make(map[*policy.Store]bool)
	bytes := t.q.totals.bytes()
	for _, one := range stores {
		one.Duplicate, one.Full = false, false
		id := one.Event.ID
		if first := s.by[id]; first != nil {
			s.again[one] = first
			continue
		}
		s.by[id] = one
		size := one.Event.Size
		if limit := t.settings.MaxSize; limit > 0 && size > 0 && bytes+size > limit {
			s.tight[one] = true
			continue
		}
		bytes += size
		if one.Seq == 0 {
			one.Seq = t.q.nextSeq()
			t.fresh[one] = true
		}
		s.ids = append(s.ids, id)
	}
	slices.Sort(s.ids)
	for _, id := range s.ids {
		s.seqs, s.received = append(s.seqs, s.by[id].Seq), append(s.received, s.by[id].Event.ReceivedAt)
	}
	return s
}

const insertIDs = `
	INSERT INTO scribegate.known (id, seq, received_at, buried)
	SELECT r.id, r.seq, r.received_at, false FROM unnest($1::text[], $2::bigint[], $3::bigint[]) r(id, seq, received_at) ORDER BY r.id
	ON CONFLICT (id) DO NOTHING RETURNING id`

// queueInsert queues the statement that inserts the ids.
func (s *storing) queueInsert(b *pgx.Batch) {
	if len(s.ids) == 0 {
		return
	}
	b.Queue(s.t.q.in(insertIDs), s.ids, s.seqs, s.received).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			s.inserted[id] = true
		}
		return rows.Err()
	})
}

// store stores the events whose ids were inserted, and looks up the others.
func (s *storing) store() error {
	var others []string
	for id := range s.by {
		if !s.inserted[id] {
			others = append(others, id)
		}
	}
	slices.Sort(others)
	known, err := s.t.lockIDs(others)
	if err != nil {
		return err
	}
	for _, one := range s.all {
		id := one.Event.ID
		switch first, k := s.again[one], known[id]; {
		case first != nil && first.Full:
			one.Full = true
		case first != nil:
			one.Duplicate = true
		case s.inserted[id]:
			err = s.t.store(one, nil)
		case k != nil && one.Seq != 0 && k.Seq == one.Seq: // by a commit whose answer was lost
			s.t.stored(one, &k.Event)
		case k != nil && one.DuplicateOf(&k.Event, s.t.age, s.t.settings):
			one.Duplicate = true
		case s.tight[one]:
			one.Full = true
		case k == nil: // it was purged since
			err = errChanged
		default:
			err = s.t.store(one, k)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// store stores an event whose id was inserted, or whose id an old trace has.
func (t *tx) store(s *policy.Store, trace *tables.Record) (err error) {
	e := s.Event
	if trace != nil {
		t.changes.Known.IDs = append(t.changes.Known.IDs, e.ID)
		t.changes.Known.Before, t.changes.Known.Now = append(t.changes.Known.Before, trace.Seq), append(t.changes.Known.Now, s.Seq)
		t.changes.Known.Received = append(t.changes.Known.Received, e.ReceivedAt)
		if trace.SetAside != policy.Tombstone {
			t.remove(trace.Seq)
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
	if e.Over() { // for no upstream
		t.changes.Trace.Add(s.Seq, e)
	} else {
		t.changes.Event.Add(s.Seq, e)
	}
	if e.Size > 0 {
		t.changes.Payload.Seqs, t.changes.Payload.Sealed = append(t.changes.Payload.Seqs, s.Seq), append(t.changes.Payload.Sealed, s.Sealed)
	}
	t.bytes += e.Size
	ahead := make(map[string]bool)
	for i := range e.Deliveries {
		d := &e.Deliveries[i]
		node := int64(0)
		if !d.Blocked && t.q.leases.Of(d.Upstream).Accepts(t.leased[d.Upstream]) {
			t.leased[d.Upstream]++
			t.ahead = append(t.ahead, stray{s.Seq, d.Upstream})
			node, ahead[d.Upstream] = t.node, true
		}
		t.changes.Delivery.Add(s.Seq, d, node)
	}
	t.made(s, e, ahead)
	return nil
}

// stored makes an event due that an earlier commit has stored, as was not known. That commit
// may have leased its deliveries.
func (t *tx) stored(s *policy.Store, e *policy.Event) {
	t.changes.Freed = append(t.changes.Freed, s.Seq)
	t.made(s, e, nil)
}

// made makes a stored event due. ahead are the upstreams whose deliveries this node leases.
func (t *tx) made(s *policy.Store, e *policy.Event, ahead map[string]bool) {
	seq := s.Seq
	t.publish(func() { s.Seq = 0 })
	if len(e.Deliveries) == 0 {
		return
	}
	if e.Completion() == nil { // another node may complete it
		t.publish(func() {
			t.q.recent.Add(policy.RecentEvent{Seq: seq, Event: s.Item.Event, Upstreams: s.Item.Upstreams, Size: len(s.Sealed)})
		})
	}
	for i := range e.Deliveries {
		name := e.Deliveries[i].Upstream
		switch {
		case e.Deliveries[i].Blocked:
			continue
		case ahead[name]:
			d := e.ClaimOf(seq, name)
			t.publish(func() { t.q.leases.Of(name).Add(d) })
		default:
			t.publish(func() { t.q.leases.Of(name).Free(seq) })
			t.tell = append(t.tell, name)
		}
		t.publish(func() { t.q.wakeUp(name) })
	}
}

// lockIDs locks and returns the events with the ids, by id. An id that is kept without its
// event has a tombstone.
func (t *tx) lockIDs(ids []string) (map[string]*tables.Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	b := t.batch()
	all := t.q.queueKnown(b, ids, lockOfIDs, lockTracesOfIDs)
	if err := t.send(b); err != nil {
		return nil, err
	}
	for id, r := range all {
		present, loaded := t.loaded[r.Seq]
		switch {
		case r.SetAside == policy.Tombstone:
		case !loaded:
			t.loaded[r.Seq] = r
		case present == nil: // the transaction has deleted it
			delete(all, id)
		default: // the transaction may have changed it
			all[id] = present
		}
	}
	return all, nil
}

// The statements that load the events with some ids.
const (
	selectOfIDs = `SELECT ` + tables.EventColumns + ` FROM scribegate.event e WHERE e.seq IN (SELECT seq FROM scribegate.known WHERE id = ANY($1))`
	lockOfIDs   = selectOfIDs + ` ORDER BY e.seq FOR UPDATE`

	tracesOfIDs     = `SELECT ` + tables.TraceColumns + ` FROM scribegate.history h WHERE h.seq IN (SELECT seq FROM scribegate.known WHERE id = ANY($1))`
	lockTracesOfIDs = tracesOfIDs + ` ORDER BY h.seq FOR UPDATE`

	selectKnown = `
		SELECT k.id, k.seq, k.received_at, k.buried,
			EXISTS (SELECT FROM scribegate.event e WHERE e.seq = k.seq) OR EXISTS (SELECT FROM scribegate.history h WHERE h.seq = k.seq)
		FROM scribegate.known k WHERE k.id = ANY($1)`
	selectDeliveriesOfIDs = `
		SELECT ` + tables.DeliveryColumns + ` FROM scribegate.delivery d
		WHERE d.seq IN (SELECT seq FROM scribegate.known WHERE id = ANY($1)) ORDER BY d.seq, d.upstream`
)

// queueKnown queues the statements that load the events with the ids into the result. An id
// whose trace has ended, or was dropped, has a tombstone.
func (q *Queue) queueKnown(b *pgx.Batch, ids []string, events, traces string) map[string]*tables.Record {
	byID, bySeq := make(map[string]*tables.Record), make(map[int64]*tables.Record)
	horizon := q.horizon()
	q.queueLoad(b, events, ids, bySeq)
	q.queueTraces(b, bySeq, traces, ids) // behind it: an event that ends meanwhile is found here
	q.queueDeliveries(b, selectDeliveriesOfIDs, ids, bySeq)
	b.Queue(q.in(selectKnown), ids).Query(func(rows pgx.Rows) error {
		for _, r := range bySeq {
			byID[r.ID] = r
		}
		for rows.Next() {
			r := &tables.Record{Event: policy.Event{SetAside: policy.Tombstone}}
			var buried, there bool
			if err := rows.Scan(&r.ID, &r.Seq, &r.ReceivedAt, &buried, &there); err != nil {
				return err
			}
			switch found := byID[r.ID]; {
			case found != nil && found.Seq == r.Seq && (!found.Trace || found.EndedAt > horizon):
			case buried || !there || found != nil && found.Seq == r.Seq:
				byID[r.ID] = r
			default: // another node stores or deletes it now
				delete(byID, r.ID)
			}
		}
		return rows.Err()
	})
	return byID
}

// beginSnapshot begins a transaction whose statements see the same state.
const beginSnapshot = `BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ`

// known returns the events with the ids, and tombstones, without locking them.
func (q *Queue) known(ctx context.Context, c sender, ids []string) (map[string]*tables.Record, error) {
	b := &pgx.Batch{}
	b.Queue(beginSnapshot)
	all := q.queueKnown(b, ids, selectOfIDs, tracesOfIDs)
	b.Queue(`COMMIT`)
	return all, c.SendBatch(ctx, b).Close()
}

// A sender is a connection or a pool.
type sender interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}
