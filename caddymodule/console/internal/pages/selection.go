package pages

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// The actions.
const (
	replay = "replay"
	purge  = "purge"
)

// maxSelected is the largest number of events that are selected by their ids.
const maxSelected = groupedEvents

// A selection is what a visitor acts on: events by their ids, whatever their state is, or a
// group of those that are in a state. An address or a form has it, so that the action is for
// exactly what its preview showed.
type selection struct {
	Action   string
	IDs      []string
	Group    *operate.Group // nil: by the ids alone
	Upstream string         // by the ids alone: only the deliveries to it
	Force    bool           // by the ids alone: also what still waits
}

// readSelection returns the selection in an address or a form.
func readSelection(q url.Values) (selection, error) {
	s := selection{Action: q.Get("action"), IDs: q["id"], Upstream: q.Get("upstream"), Force: q.Get("force") != ""}
	invalid := func(what string) (selection, error) {
		return s, failure{http.StatusBadRequest, "The selection is not valid", sentence(what) + " Nothing was changed. Go back, and use the buttons of the page."}
	}
	slices.Sort(s.IDs)
	s.IDs = slices.Compact(s.IDs)
	switch {
	case s.Action != replay && s.Action != purge:
		return invalid("the action is missing: it is replay or purge")
	case len(s.IDs) > maxSelected:
		return invalid("too many events are selected: at most " + comma(maxSelected) + ", or all of one cause")
	}
	state := queue.State(q.Get("state"))
	if state == "" {
		if len(s.IDs) == 0 {
			return invalid("no event is selected")
		}
		return s, nil
	}
	if state != queue.Dead && !state.SetAside() || state == queue.Quarantined && s.Action == replay {
		return invalid("events in this state cannot be acted on in this way")
	}
	g := operate.Group{State: state, IDs: s.IDs}
	var err error
	if g.Until, err = time.Parse(time.RFC3339Nano, q.Get("until")); err != nil {
		return invalid("the time of the list is missing")
	}
	if q.Has("picked") && len(s.IDs) == 0 {
		return invalid("no event is selected")
	}
	if q.Has("cause") {
		status, err := strconv.Atoi(q.Get("status"))
		if err != nil {
			return invalid("the status is not a number")
		}
		g.Cause = &operate.Cause{Upstream: q.Get("upstream"), Outcome: queue.Result(q.Get("outcome")), Status: status, Reason: q.Get("reason"), Type: q.Get("type")}
	} else if len(s.IDs) == 0 {
		return invalid("the cause is missing")
	}
	s.Group, s.Upstream, s.Force = &g, "", false
	return s, nil
}

// values returns the selection as the fields of a form or an address.
func (s selection) values() url.Values {
	q := url.Values{"action": {s.Action}}
	if len(s.IDs) > 0 {
		q["id"] = s.IDs
	}
	if s.Group == nil {
		if s.Upstream != "" {
			q.Set("upstream", s.Upstream)
		}
		if s.Force {
			q.Set("force", "1")
		}
		return q
	}
	q.Set("state", string(s.Group.State))
	q.Set("until", s.Group.Until.UTC().Format(time.RFC3339Nano))
	if c := s.Group.Cause; c != nil {
		q.Set("cause", "1")
		for name, value := range map[string]string{
			"upstream": c.Upstream, "outcome": string(c.Outcome), "status": strconv.Itoa(c.Status), "reason": c.Reason, "type": c.Type,
		} {
			if value != "" {
				q.Set(name, value)
			}
		}
	}
	return q
}

// preview returns the address of the preview of an action.
func (s selection) preview(action string) string {
	s.Action = action
	return "preview?" + s.values().Encode()
}

// fields returns the selection as the hidden fields of a form.
func (s selection) fields() (all []hidden) {
	q := s.values()
	for _, name := range slices.Sorted(maps.Keys(q)) {
		for _, value := range q[name] {
			all = append(all, hidden{name, value})
		}
	}
	return all
}

// A hidden is a hidden field of a form.
type hidden struct{ Name, Value string }

// replay returns the replay of the selection.
func (s selection) replay() operate.Replay {
	if s.Group != nil {
		return s.Group.Replay()
	}
	r := operate.Replay{ReplaySelection: queue.ReplaySelection{IDs: s.IDs}}
	if s.Upstream != "" {
		r.Upstreams = []string{s.Upstream}
	}
	return r
}

// purge returns the purge of the selection.
func (s selection) purge() operate.Purge {
	if s.Group != nil {
		return s.Group.Purge()
	}
	return operate.Purge{PurgeSelection: queue.PurgeSelection{IDs: s.IDs, Force: s.Force}}
}
