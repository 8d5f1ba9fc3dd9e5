package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// settle waits until every acknowledged event is delivered to each of its upstreams, or until no
// delivery came for the time limit, and returns a row with the counts. Events that are missing then
// are counted as lost. settle returns an error only if it could not wait.
func (r *rig) settle(ctx context.Context, b *book, limit time.Duration) (result, error) {
	w := r.ledger.watch(b)
	defer w.end()
	if w.number > 0 {
		if err := w.wait(ctx, limit, r.proc.ended); err != nil {
			return countEvents(b.snapshot(), r.ledger.accepted()), err
		}
	}
	return countEvents(b.snapshot(), r.ledger.accepted()), nil
}

// wait waits until no delivery is missing, or until none came for the time limit.
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
				return nil // the caller counts missing events as lost
			}
		}
	}
}

// accepted returns the number of accepted deliveries, by upstream and event.
func (l *ledger) accepted() map[string]map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	accepted := make(map[string]map[string]int, len(l.backends))
	for _, b := range l.backends {
		accepted[b.name] = maps.Clone(b.accepted)
	}
	return accepted
}

// tally returns a row that compares the acknowledged events with the accepted deliveries. An event is
// delivered if each of its upstreams has accepted it, and lost otherwise. Events whose answer did not
// reach the sender are not counted.
func countEvents(acknowledged map[string][]string, accepted map[string]map[string]int) result {
	row := result{acknowledged: len(acknowledged)}
	for id, upstreams := range acknowledged {
		if everywhere(id, upstreams, accepted) {
			row.delivered++
		} else {
			row.lost++
		}
	}
	for _, counts := range accepted {
		for _, n := range counts {
			row.duplicated += n - 1
		}
	}
	return row
}

// everywhere reports whether each upstream of an event has accepted it. It returns false if an upstream
// of the event is not in the ledger.
func everywhere(id string, upstreams []string, accepted map[string]map[string]int) bool {
	for name, counts := range accepted {
		if isFor(upstreams, name) && counts[id] == 0 {
			return false
		}
	}
	for _, name := range upstreams {
		if accepted[name][id] == 0 {
			return false
		}
	}
	return len(accepted) > 0
}

// isFor reports whether upstreams, the upstreams of an event, contain name.
func isFor(upstreams []string, name string) bool {
	return upstreams == nil || slices.Contains(upstreams, name)
}
