package ledger

import (
	"maps"
	"slices"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Accepted returns the number of accepted deliveries, by upstream and event.
func (l *Ledger) Accepted() map[string]map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	accepted := make(map[string]map[string]int, len(l.backends))
	for _, b := range l.backends {
		accepted[b.Name] = maps.Clone(b.accepted)
	}
	return accepted
}

// Count returns a row that compares the acknowledged events with the accepted deliveries. An event is
// delivered if each of its upstreams has accepted it, and lost otherwise. Events whose answer did not
// reach the sender are not counted.
func Count(acknowledged map[string][]string, accepted map[string]map[string]int) table.Row {
	row := table.Row{Acknowledged: len(acknowledged)}
	for id, upstreams := range acknowledged {
		if everywhere(id, upstreams, accepted) {
			row.Delivered++
		} else {
			row.Lost++
		}
	}
	for _, counts := range accepted {
		for _, n := range counts {
			row.Duplicated += n - 1
		}
	}
	return row
}

// FirstLost returns the id of an acknowledged event that is not delivered, and whether there is one.
func (l *Ledger) FirstLost(b *Book) (id string, lost bool) {
	accepted := l.Accepted()
	for id, upstreams := range b.Snapshot() {
		if !everywhere(id, upstreams, accepted) {
			return id, true
		}
	}
	return "", false
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
