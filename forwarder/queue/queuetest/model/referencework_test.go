package model_test

import (
	"context"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
)

// step is the number of events that a replay or purge of the reference changes at once.
const step = 100

// work calls each with each event, in steps. It reports the number of processed events
// and the total, without events that each skips because they no longer exist.
func (q *reference) work(ctx context.Context, events []*model.Event, p queue.Progress, each func(*model.Event) (done bool)) error {
	done, total := int64(0), int64(len(events))
	p.Report(done, total)
	for events := range slices.Chunk(events, step) {
		if err := q.do(ctx, func() error {
			for _, e := range events {
				if each(e) {
					done++
				} else {
					total--
				}
			}
			return nil
		}); err != nil {
			return err
		}
		p.Report(done, total)
	}
	return nil
}

func (q *reference) Replay(ctx context.Context, s queue.ReplaySelection) (out queue.Replayed, err error) {
	if err := s.Check(); err != nil {
		return out, err
	}
	var events []*model.Event
	if err := q.do(ctx, func() error {
		q.applyOutcomes()
		var refused []error
		if events, refused = q.model.ToReplay(s); len(refused) > 0 {
			return refused[0]
		}
		return nil
	}); err != nil {
		return out, err
	}
	err = q.work(ctx, events, s.Progress, func(e *model.Event) bool {
		if !slices.Contains(q.model.Events, e) || !model.Replays(e, s) {
			return false
		}
		q.model.ReplayEvent(e, s, &out)
		q.wakeAll(e)
		return true
	})
	return out, err
}

func (q *reference) Purge(ctx context.Context, s queue.PurgeSelection) (n int, err error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	var events []*model.Event
	if err := q.do(ctx, func() error {
		q.applyOutcomes()
		var refused []error
		if events, refused = q.model.ToPurge(s); len(refused) > 0 {
			return refused[0]
		}
		return nil
	}); err != nil {
		return 0, err
	}
	if s.DryRun {
		return len(events), nil
	}
	err = q.work(ctx, events, s.Progress, func(e *model.Event) bool {
		if !slices.Contains(q.model.Events, e) || !model.Purges(e, s) {
			return false
		}
		q.model.PurgeEvent(e, s)
		n++
		return true
	})
	return n, err
}

func (q *reference) Stats() (s queue.Stats, err error) {
	err = q.do(context.Background(), func() error {
		s = q.model.Stats()
		s.Bytes = q.bytes()
		return nil
	})
	return s, err
}

func (q *reference) Configure(s queue.Settings) { q.locked(func() { q.model.Settings = s }) }

func (q *reference) Close() error {
	q.locked(q.applyOutcomes)
	q.kill()
	return nil
}

// kill ends the queue and loses the pending outcomes.
func (q *reference) kill() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.outcomes = nil
	select {
	case <-q.closed:
	default:
		close(q.closed)
	}
}
