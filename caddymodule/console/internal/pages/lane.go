package pages

import (
	"net/url"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// recently is how long after a success an upstream counts as delivering.
const recently = 15 * time.Second

// A lane is an upstream on the board.
type lane struct {
	Name     string
	Tone     tone
	State    string // a word or two
	Detail   string // the rest of the sentence; may be ""
	Chart    chart
	Waiting  count
	Dead     count
	InFlight int64
	Oldest   string
	Lag      string
	Success  moment
	Failure  moment
	Why      string // what the last failure means
}

// A count is a number that leads to what it counts.
type count struct {
	N    int64
	Href string
}

// newLane returns the lane of an upstream.
func newLane(u admin.UpstreamStatus, hour activity.Hour, now time.Time) lane {
	l := lane{
		Name: u.Name, Chart: newChart(hour), InFlight: u.InFlight, Oldest: oldest(u.Pending, u.OldestPendingSeconds),
		Waiting: count{u.Pending, link("events", "state", "pending", "upstream", u.Name)},
		Dead:    count{u.Dead, link("dead", "upstream", u.Name)},
		Success: agoOf(u.LastSuccess, now),
	}
	if hour.Delivered > 0 {
		l.Lag = took(hour.Lag)
	}
	if f := u.LastFailure; f != nil {
		l.Failure = ago(f.At, now)
		l.Why = wording.Meaning(admin.Attempt{Outcome: f.Outcome, Status: f.Status})
	}
	l.Tone, l.State, l.Detail = stateOf(u, now)
	return l
}

// stateOf returns the state of an upstream in words.
func stateOf(u admin.UpstreamStatus, now time.Time) (t tone, state, detail string) {
	switch {
	case u.Orphaned:
		return warn, "no longer configured", "define it again, or purge its events"
	case u.Paused && u.PauseReason == forwarder.Failures:
		return bad, "paused after failures", nextProbe(u.PausedUntil, now)
	case u.Paused:
		return warn, "paused at its request", until(u.PausedUntil, now)
	case fails(u):
		if u.Pending == 0 {
			return warn, "failing", "its last event is dead"
		}
		return warn, "failing", "the last attempt failed; attempts go on"
	case u.InFlight > 0, u.LastSuccess != nil && now.Sub(*u.LastSuccess) < recently:
		return good, "delivering", ""
	case u.Pending > 0:
		return good, "waiting", "for the next attempt or the provider's API"
	}
	return quiet, "idle", ""
}

// fails reports whether the newest attempt at an upstream failed, and its event still waits or is
// dead.
func fails(u admin.UpstreamStatus) bool {
	return u.Pending+u.Dead > 0 && u.LastFailure != nil && (u.LastSuccess == nil || u.LastFailure.At.After(*u.LastSuccess))
}

// nextProbe returns when a paused upstream is probed.
func nextProbe(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return ""
	case !t.After(now):
		return "a probe is under way, or waits for an event that is due"
	}
	return "next probe in " + span(t.Sub(now)+time.Second-1)
}

func until(t *time.Time, now time.Time) string {
	if t == nil {
		return ""
	}
	return "until " + ahead(*t, now)
}

// newAPILane returns the lane of a provider's API.
func newAPILane(a admin.APIStatus, now time.Time) apiLane {
	l := apiLane{Provider: a.Provider, Source: a.Source, lane: lane{
		InFlight: a.InFlight, Oldest: oldest(a.Pending, a.OldestPendingSeconds), Waiting: count{N: a.Pending}, Success: agoOf(a.LastSuccess, now),
		Tone: quiet, State: "idle",
	}, Cleanups: a.Cleanups}
	if f := a.LastFailure; f != nil {
		l.Failure, l.Why = ago(f.At, now), wording.StageMeaning(admin.Attempt{Outcome: queue.Failure, Status: f.Status})
		if f.Status == 0 {
			l.Why = f.Reason
		}
	}
	switch {
	case !a.Configured:
		l.Tone, l.State, l.Detail = warn, "has no api_key", "events wait for it: add api_key to a handler of this source, or replay them"
	case a.Paused && a.PauseReason == forwarder.Failures:
		l.Tone, l.State, l.Detail = bad, "paused after failures", nextProbe(a.PausedUntil, now)
	case a.Paused:
		l.Tone, l.State, l.Detail = warn, "paused at its request", until(a.PausedUntil, now)
	case a.InFlight > 0 || a.LastSuccess != nil && now.Sub(*a.LastSuccess) < recently:
		l.Tone, l.State = good, "answering"
	case a.Pending > 0:
		l.Tone, l.State = good, "waiting"
	}
	return l
}

// An apiLane is a provider's API on the board.
type apiLane struct {
	lane
	Provider, Source string
	Cleanups         int64
}

// oldest returns how long the oldest waiting event has waited, or "".
func oldest(pending int64, seconds float64) string {
	if pending == 0 {
		return ""
	}
	return span(time.Duration(seconds * float64(time.Second)))
}

func agoOf(t *time.Time, now time.Time) moment {
	if t == nil {
		return moment{}
	}
	return ago(*t, now)
}

// link returns the relative address of a page with parameters, which are pairs of a name and a
// value; an empty value is left out.
func link(page string, parameters ...string) string {
	q := make(url.Values)
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			q.Set(parameters[i], parameters[i+1])
		}
	}
	if len(q) == 0 {
		return page
	}
	return page + "?" + q.Encode()
}
