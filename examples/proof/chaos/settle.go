package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// settle waits until every acknowledged event has been delivered to every
// upstream it is for, but no longer than limit without any delivery, and returns
// a row with the counts. Events that are missing by then are lost; settle's
// error is for what kept it from waiting.
func (r *rig) settle(ctx context.Context, b *book, limit time.Duration) (result, error) {
	w := r.ledger.watch(b)
	defer w.end()
	if w.number > 0 {
		if err := w.wait(ctx, limit, r.proc.ended); err != nil {
			return tally(b.snapshot(), r.ledger.takings()), err
		}
	}
	return tally(b.snapshot(), r.ledger.takings()), nil
}

// wait returns when nothing waits any more, or when nothing that waited was
// delivered for as long as limit.
func (w *watch) wait(ctx context.Context, limit time.Duration, ended <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	left, since := w.left(), time.Now()
	for {
		select {
		case <-w.last:
			return nil
		case <-ended:
			return fmt.Errorf("waiting for the deliveries: the gateway ended, and %d are missing", w.left())
		case <-ctx.Done():
			return fmt.Errorf("waiting for the deliveries: %w; %d are missing", context.Cause(ctx), w.left())
		case now := <-tick.C:
			if n := w.left(); n != left {
				left, since = n, now
			}
			if now.Sub(since) > limit {
				return nil // what is missing is counted as lost
			}
		}
	}
}

// takings are how often each upstream took each event.
func (l *ledger) takings() map[string]map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	takings := make(map[string]map[string]int, len(l.backends))
	for _, b := range l.backends {
		takings[b.name] = maps.Clone(b.taken)
	}
	return takings
}

// tally compares what was acknowledged with what was taken. An event counts as
// delivered where every upstream that it is for has taken it, and otherwise as
// lost. Deliveries of events whose answer never reached the sender are neither.
func tally(acknowledged map[string][]string, takings map[string]map[string]int) result {
	row := result{acknowledged: len(acknowledged)}
	for id, upstreams := range acknowledged {
		if everywhere(id, upstreams, takings) {
			row.delivered++
		} else {
			row.lost++
		}
	}
	for _, taken := range takings {
		for _, n := range taken {
			row.duplicated += n - 1
		}
	}
	return row
}

// everywhere reports whether each upstream that an event is for has taken it. An
// event for an upstream that the ledger does not know is nowhere.
func everywhere(id string, upstreams []string, takings map[string]map[string]int) bool {
	for name, taken := range takings {
		if isFor(upstreams, name) && taken[id] == 0 {
			return false
		}
	}
	for _, name := range upstreams {
		if takings[name][id] == 0 {
			return false
		}
	}
	return len(takings) > 0
}

// isFor reports whether an event whose upstreams these are is for one.
func isFor(upstreams []string, name string) bool {
	return upstreams == nil || slices.Contains(upstreams, name)
}
