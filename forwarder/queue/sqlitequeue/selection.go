package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// step is the maximum number of events that one transaction of a replay, a purge or a
// sweep changes, so that it does not delay stores.
const step = 200

// A seqsOf returns the seqs of selected events, in any order.
type seqsOf func(ctx context.Context, c *tables.Conn) ([]int64, error)

// A selection is a statement that returns the seqs of events.
type selection struct {
	text string
	args []driver.Value
}

// inSelections returns a function that returns the seqs of all selected events.
func inSelections(selections ...selection) seqsOf {
	return func(ctx context.Context, c *tables.Conn) (seqs []int64, err error) {
		for _, s := range selections {
			some, err := c.Numbers(ctx, s.text, s.args...)
			if err != nil {
				return nil, err
			}
			seqs = append(seqs, some...)
		}
		return seqs, nil
	}
}

// withIDs returns a function that returns the seqs of the events with the ids.
func (q *Queue) withIDs(ids []string) seqsOf {
	return func(ctx context.Context, c *tables.Conn) (seqs []int64, err error) {
		for _, id := range ids {
			r, err := q.findID(ctx, c, id)
			if err != nil {
				return nil, err
			}
			if r != nil {
				seqs = append(seqs, r.Seq)
			}
		}
		return seqs, nil
	}
}

// inState returns a function that returns the seqs of the events that are set aside in the
// state, or that have a delivery in it. With ids it returns the seqs of those events, whatever
// their state is.
func (q *Queue) inState(s queue.State, ids []string) seqsOf {
	if len(ids) > 0 {
		return q.withIDs(ids)
	}
	return inSelections(q.statements(s)...)
}

// statements selects the events that are set aside in the state, or that have a delivery in it.
func (q *Queue) statements(s queue.State) (all []selection) {
	if s.SetAside() {
		return []selection{{`SELECT seq FROM event WHERE ` + isSetAside, []driver.Value{tables.SetAsideCodes[s]}}}
	}
	for _, id := range q.upstreamIDs() {
		all = append(all, ofUpstream(id, s)...)
	}
	return all
}

// isSetAside is the condition for the events that are set aside in a state. It repeats the
// condition of the index event_set_aside, without which SQLite reads all events.
const isSetAside = `state = ? AND state BETWEEN 3 AND 6`

// upstreamIDs returns the numbers of the upstreams, without those of stages.
func (q *Queue) upstreamIDs() []int64 {
	return slices.DeleteFunc(q.upstreams.IDs(), func(id int64) bool {
		name, _ := q.upstreams.Name(id)
		return queue.IsStage(name)
	})
}

// ofUpstream selects the events that have a delivery to the upstream in one of the
// states.
func ofUpstream(id int64, states ...queue.State) (all []selection) {
	codes := map[queue.State][]int64{queue.Pending: tables.DeliveryPending, queue.Dead: {tables.DeliveryDead}}
	for _, s := range states {
		for _, code := range codes[s] {
			all = append(all, selection{`SELECT seq FROM delivery WHERE upstream = ? AND state = ?`, []driver.Value{id, code}})
		}
	}
	return all
}

// inSteps calls change with all selected events, oldest first, a few at a time, and
// reports the progress. It reads the selection before it changes the first event, which
// takes 8 bytes for each. change returns how many of its events no longer exist.
func (q *Queue) inSteps(ctx context.Context, selected seqsOf, p queue.Progress, change func(seqs []int64) (gone int, err error)) error {
	var seqs []int64
	err := q.readers.With(ctx, func(c *tables.Conn) (err error) {
		seqs, err = selected(ctx, c)
		return err
	})
	if err != nil {
		q.repairIfDamaged(err)
		return err
	}
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	total := int64(len(seqs))
	p.Report(0, total)
	done := int64(0)
	for some := range slices.Chunk(seqs, step) {
		if err := ctx.Err(); err != nil {
			return err
		}
		gone, err := change(some)
		if err != nil {
			return err
		}
		done += int64(len(some) - gone)
		total -= int64(gone)
		p.Report(done, total)
	}
	return nil
}
