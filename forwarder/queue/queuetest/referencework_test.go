package queuetest

import (
	"context"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// step is how many events a replay or purge of the reference changes at once.
const step = 100

// work does something to each event in steps. It reports how many are done and how
// many there are, without those that each skips since they are gone.
func (q *reference) work(ctx context.Context, events []*modelEvent, p queue.Progress, each func(*modelEvent) (done bool)) error {
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
	var events []*modelEvent
	if err := q.do(ctx, func() error {
		q.applyOutcomes()
		var refused []error
		if events, refused = q.model.toReplay(s); len(refused) > 0 {
			return refused[0]
		}
		return nil
	}); err != nil {
		return out, err
	}
	err = q.work(ctx, events, s.Progress, func(e *modelEvent) bool {
		if !slices.Contains(q.model.events, e) || !replays(e, s) {
			return false
		}
		q.model.replayEvent(e, s, &out)
		for _, d := range e.deliveries {
			q.wake(d.Upstream)
		}
		return true
	})
	return out, err
}

func (q *reference) Purge(ctx context.Context, s queue.PurgeSelection) (n int, err error) {
	if err := s.Check(); err != nil {
		return 0, err
	}
	var events []*modelEvent
	if err := q.do(ctx, func() error {
		q.applyOutcomes()
		var refused []error
		if events, refused = q.model.toPurge(s); len(refused) > 0 {
			return refused[0]
		}
		return nil
	}); err != nil {
		return 0, err
	}
	if s.DryRun {
		return len(events), nil
	}
	err = q.work(ctx, events, s.Progress, func(e *modelEvent) bool {
		if !slices.Contains(q.model.events, e) || !purges(e, s) {
			return false
		}
		q.model.purgeEvent(e, s)
		n++
		return true
	})
	return n, err
}

func (q *reference) Stats() (s queue.Stats, err error) {
	err = q.do(context.Background(), func() error {
		s = q.model.stats()
		s.Bytes = q.bytes()
		return nil
	})
	return s, err
}

func (q *reference) Configure(s queue.Settings) { q.locked(func() { q.model.settings = s }) }

func (q *reference) Close() error {
	q.locked(q.applyOutcomes)
	q.kill()
	return nil
}

// kill ends the queue without its outcomes.
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
