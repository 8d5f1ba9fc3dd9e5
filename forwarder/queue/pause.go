package queue

import "time"

// A PauseSharer is a queue whose nodes share the pauses of upstreams: a pause that one
// of them learns of holds on all. It is optional. Without it, each dispatcher pauses for
// itself.
//
// Times are by the clock of the caller, as in Claim.
type PauseSharer interface {
	// ChangePause replaces the pause of an upstream by what change returns for the present
	// one, in one transaction, and returns the new one. Without a pause, change gets the
	// zero Pause, and it returns one to end the pause. It may be called more than once, and
	// must not block. Version is set by the queue.
	//
	// ChangePause returns before the change is durable: a pause that is lost costs some
	// attempts.
	ChangePause(key PauseKey, change func(Pause) Pause) (Pause, error)

	// NotifyPauses sets the function that is called with all pauses: before the queue
	// returns the first delivery, and soon after another node has changed one of them.
	// There is only one such function; it must not block.
	NotifyPauses(heard func(Pauses))
}

// A PauseKey identifies an upstream. Backend differs between two nodes that have
// configured different backends under one name: those share no pause.
type PauseKey struct{ Upstream, Backend string }

// A Pause is the pause of an upstream, as all nodes know it.
type Pause struct {
	// Version grows with each change of any pause.
	Version int64

	// Hold is until when the upstream asked for no attempts; zero if it did not.
	Hold time.Time

	// Probe is when the next probe may begin, if the upstream is paused after failures,
	// else zero. While a probe is in flight, it is when that one must have ended.
	Probe time.Time

	Delay  time.Duration // the wait before the next probe
	Prober string        // the node that has made the newest probe, or has begun the pause
	Probed string        // the id of the event of the newest probe
}

// Pauses are the pauses of all upstreams.
type Pauses struct {
	Version int64 // of the newest change; zero if the pauses are not known
	ByKey   map[PauseKey]Pause
}

// Of returns the pause of an upstream.
func (p Pauses) Of(key PauseKey) Pause {
	if one, paused := p.ByKey[key]; paused {
		return one
	}
	return Pause{Version: p.Version}
}
