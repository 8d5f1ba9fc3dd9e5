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
// this one. A delivered event counts only within the dedupe window.
func (e *Event) Duplicate(now int64, s queue.Settings) bool {
	state := e.State()
	if state != queue.Delivered && state != Tombstone {
		return true
	}
	return time.Duration(now-e.ReceivedAt) < s.DedupeWindow
}

// Expire ends the retention of an event. It returns true if the id must be kept longer,
// and turns the event into a tombstone. It returns false if the event must be deleted.
func (e *Event) Expire(now int64, s queue.Settings) (buried bool) {
	if e.SetAside == Tombstone || time.Duration(now-e.ReceivedAt) >= s.DedupeWindow {
		return false
	}
	e.Bury()
	return true
}
