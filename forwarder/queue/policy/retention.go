package policy

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Retention returns how long an event in the state is kept after its EndedAt.
func Retention(state queue.State, s queue.Settings) time.Duration {
	switch state {
	case queue.Delivered:
		return max(s.HistoryRetention, s.KeepDelivered)
	case Tombstone:
		return s.DedupeWindow
	default:
		return s.DeadRetention
	}
}

// Duplicate reports whether the same event, received again at now, is a duplicate of
// this one. The trace of a delivered event counts only within the dedupe window.
func (e *Event) Duplicate(now int64, s queue.Settings) bool {
	state := e.State()
	if state != queue.Delivered && state != Tombstone {
		return true
	}
	return time.Duration(now-e.ReceivedAt) < s.DedupeWindow
}

// Expire takes an event whose retention has ended out of the store: it leaves a
// tombstone and returns true where the id is to be known for longer, and returns
// false where the event is to be deleted.
func (e *Event) Expire(now int64, s queue.Settings) (buried bool) {
	if e.SetAside == Tombstone || time.Duration(now-e.ReceivedAt) >= s.DedupeWindow {
		return false
	}
	e.Bury()
	return true
}
