package sqlitequeue

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	// maxHeld is the limit for the completed events in memory that the disk has no room
	// for.
	maxHeld = 64 << 20

	// roomAgain is the time until such an event is written again, or completed again if
	// it is not in memory.
	roomAgain = time.Minute
)

// held are the completed events that the disk has no room for. Their deliveries are
// claimed from memory. In the store, their completions stay pending and their deliveries
// blocked, so that they are completed again after a restart. The leases of these
// completions last as long as their events are here.
type held struct {
	mu     sync.Mutex
	events map[int64]*policy.Outcome // of the completions, by seq
	bytes  int64
}

// add adds an event unless there is not enough room in memory, and reports whether it is held.
func (h *held) add(o *policy.Outcome) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	seq, size := seqOf(o.Delivery), int64(o.Event.BinarySize())
	switch {
	case h.events[seq] != nil:
		return true
	case h.bytes+size > maxHeld:
		return false
	}
	h.events[seq] = o
	h.bytes += size
	return true
}

// drop removes an event, and returns the outcome of its completion, or nil.
func (h *held) drop(seq int64) *policy.Outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.events[seq]
	if o != nil {
		delete(h.events, seq)
		h.bytes -= int64(o.Event.BinarySize())
	}
	return o
}

func (h *held) get(seq int64) *policy.Outcome {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.events[seq]
}

// event returns the event of a delivery to an upstream, or nil.
func (h *held) event(d queue.Delivery) *event.Event {
	o := h.get(seqOf(d))
	if o == nil || o.Delivery.EventID != d.EventID || queue.IsStage(d.Upstream) {
		return nil
	}
	return o.Event
}

// all returns all outcomes in the order of their events.
func (h *held) all() (all []*policy.Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(h.events)) {
		all = append(all, h.events[seq])
	}
	return all
}

// NoRoom implements policy.Commits. It holds the completed event in memory, and makes its
// deliveries due. If there is not enough room in memory either, the completion is attempted again
// later.
func (q *Queue) NoRoom(o *policy.Outcome) *policy.Outcome {
	if q.held.add(o) {
		for _, l := range q.leases.all() {
			q.wakeUp(l.upstream)
		}
		return nil
	}
	later := &policy.Outcome{Outcome: o.Outcome}
	later.State, later.Next, later.Event, later.Retain = queue.Pending, q.now().Add(roomAgain), nil, false
	return later
}

// writeHeld tries to write the held events once there may be room.
func (q *Queue) writeHeld(now time.Time) {
	if q.room.short || q.room.released || !due(now, &q.steps.held, roomAgain) {
		return
	}
	for _, o := range q.held.all() {
		q.writer.Settle(o)
	}
}

// dropHeld drops an event from memory, and ends the lease of its completion.
func (q *Queue) dropHeld(seq int64) {
	if o := q.held.drop(seq); o != nil {
		q.leases.of(o.Delivery.Upstream).settled(seq)
		q.wakeUp(o.Delivery.Upstream)
	}
}

// endHeld ends the completion of an event that every upstream has accepted from memory. If
// its payload is kept, that is not the completed one: a replay completes the event again,
// and so there must be no cleanup.
func (t *tx) endHeld(after *tables.Record) {
	o := t.q.held.get(after.Seq)
	if o == nil || after.State() != queue.Delivered || after.Completion() == nil {
		return
	}
	end := o.Outcome
	end.Event = nil
	if after.Size > 0 {
		end.State, end.Next, end.Retain = queue.Pending, policy.Time(t.now), true
	}
	after.Settle(&end, t.now, t.settings.KeepDelivered)
}

// claimHeld claims deliveries of held events, and returns how many first ones and retries.
func (c *claim) claimHeld(want queue.Want) (first, retries int, err error) {
	l := c.lease
	all := c.q.held.all()
	if len(all) == 0 || queue.IsStage(l.upstream) {
		return 0, 0, nil
	}
	err = c.q.claims.With(c.q.ctx, func(k *tables.Conn) error {
		for _, o := range all {
			seq := seqOf(o.Delivery)
			r, err := c.q.load(context.Background(), k, seq)
			if errors.Is(err, policy.ErrDamaged) || err == nil && (r == nil || r.ID != o.Delivery.EventID) {
				c.q.dropHeld(seq)
				continue
			}
			if err != nil {
				return err
			}
			d := r.Delivery(l.upstream)
			switch {
			case d == nil || !d.Blocked || l.leased[seq]:
				continue
			case d.Due > c.now:
				c.heldNext = earliest(c.heldNext, d.Due)
				continue
			case d.Due == 0 && first < want.First:
				first++
			case d.Due > 0 && retries < want.Retry:
				retries++
			default:
				continue
			}
			out := r.ClaimOf(seq, l.upstream)
			out.Size = int64(o.Event.BinarySize())
			c.claimed = append(c.claimed, out)
		}
		return nil
	})
	return first, retries, err
}

// earliest returns the earlier of two times; 0 means none.
func earliest(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
