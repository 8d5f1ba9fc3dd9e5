package admin

import "github.com/scribegate/scribegate/forwarder/queue"

// A ReplayRequest is the body of a replay. It selects events by their ids, by a state, or
// by the time of receipt. An empty string in Upstream is an error: it is probably an
// unset variable of a script, and must not mean every upstream.
type ReplayRequest struct {
	IDs         []string `json:"ids,omitempty"`
	Dead        bool     `json:"dead,omitempty"`
	Unrouted    bool     `json:"unrouted,omitempty"`
	Unconfirmed bool     `json:"unconfirmed,omitempty"`
	Since       string   `json:"since,omitempty"`
	Upstream    *string  `json:"upstream,omitempty"`
}

// A PurgeRequest is the body of a purge. It selects events by their ids, by a state, or by
// an upstream.
type PurgeRequest struct {
	IDs         []string `json:"ids,omitempty"`
	Force       bool     `json:"force,omitempty"`
	Dead        bool     `json:"dead,omitempty"`
	Quarantined bool     `json:"quarantined,omitempty"`
	Unrouted    bool     `json:"unrouted,omitempty"`
	Unconfirmed bool     `json:"unconfirmed,omitempty"`
	Upstream    string   `json:"upstream,omitempty"`
	Before      *string  `json:"before,omitempty"`
	DryRun      bool     `json:"dry_run,omitempty"`
}

// Replayed is the answer to a replay.
type Replayed struct {
	Replayed       int `json:"replayed"`           // deliveries
	WithoutPayload int `json:"without_payload"`    // events that were skipped
	Unrouted       int `json:"unrouted,omitempty"` // events that were skipped, since no upstream accepts them
}

// Purged is the answer to a purge.
type Purged struct {
	Purged int `json:"purged"` // events
}

// RouteHint describes the change after which an unrouted event can be replayed.
const RouteHint = "add its type to the `events` of an upstream that its handler delivers to, then replay it"

// State returns the state that the request selects, or "". It reports false unless
// the request selects events in exactly one way.
func (b ReplayRequest) State() (state queue.State, ok bool) {
	return selectOne(map[queue.State]bool{queue.Dead: b.Dead, queue.Unrouted: b.Unrouted, queue.Unconfirmed: b.Unconfirmed},
		len(b.IDs) > 0, b.Since != "")
}

// State returns the state that the request selects, or "". It reports false unless
// the request selects events in exactly one way.
func (b PurgeRequest) State() (state queue.State, ok bool) {
	return selectOne(map[queue.State]bool{
		queue.Dead: b.Dead, queue.Quarantined: b.Quarantined, queue.Unrouted: b.Unrouted, queue.Unconfirmed: b.Unconfirmed,
	}, len(b.IDs) > 0, b.Upstream != "")
}

// selectOne returns the state that is set, and reports whether exactly one of the
// states and other choices is set.
func selectOne(states map[queue.State]bool, others ...bool) (state queue.State, ok bool) {
	n := 0
	for s, set := range states {
		if set {
			state = s
			n++
		}
	}
	for _, set := range others {
		if set {
			n++
		}
	}
	return state, n == 1
}
