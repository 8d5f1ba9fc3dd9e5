package pages

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder"
)

// A verdict says in words whether all is well: the worst problem, and the others.
type verdict struct {
	problem
	Others []problem
	Aside  []problem // what waits for a decision
}

// A problem is something that needs attention.
type problem struct {
	Tone   tone
	Text   string
	Spoken string // for screen readers: without durations, so that it changes only with the state
	Href   string // may be ""
}

// judge returns the verdict on a state.
func judge(s *snapshot, now time.Time) verdict {
	v := verdict{Aside: aside(s)}
	for _, p := range problems(s, now) {
		switch {
		case v.Tone == "":
			v.problem = p
		case p.Tone == bad && v.Tone != bad:
			v.Others = append(v.Others, v.problem)
			v.problem = p
		default:
			v.Others = append(v.Others, p)
		}
	}
	switch {
	case v.Tone != "":
	case len(s.status.Upstreams) == 0:
		v.problem = problem{Tone: quiet, Text: "No upstream is configured"}
	default:
		v.problem = problem{Tone: good, Text: "All upstreams accept events"}
	}
	if v.Spoken == "" {
		v.Spoken = v.Text
	}
	return v
}

// problems returns what is wrong, in the order of the configuration.
func problems(s *snapshot, now time.Time) (all []problem) {
	if s.ready != nil {
		all = append(all, problem{Tone: bad, Text: sentence(s.ready.Error())})
	} else if s.err != nil {
		all = append(all, problem{Tone: bad, Text: sentence("the queue cannot be read: " + s.err.Error())})
	}
	for _, u := range s.status.Upstreams {
		if p := ofUpstream(u, now); p.Text != "" {
			all = append(all, p)
		}
	}
	for _, a := range s.status.APIs {
		name := a.Provider + "'s API"
		switch {
		case !a.Configured:
			all = append(all, problem{Tone: warn, Text: waiting(a.Pending+a.Cleanups) + " for " + name + ", and no handler of " + a.Source + " has an api_key"})
		case a.Paused && a.PauseReason == forwarder.Failures:
			all = append(all, problem{Tone: bad, Text: name + " does not answer as it should: its events wait"})
		case a.Paused:
			all = append(all, problem{Tone: warn, Text: name + " asked for a pause " + until(a.PausedUntil, now), Spoken: name + " asked for a pause"})
		}
	}
	q := s.status.Queue
	if q.Unreadable > 0 {
		all = append(all, problem{Tone: bad, Text: wording.Counted(int(q.Unreadable), "event") + " cannot be read: " + wording.UnreadableHint, Spoken: "Events cannot be read"})
	}
	if q.MaxBytes > 0 && 100*q.Bytes >= nearlyFull*q.MaxBytes {
		all = append(all, problem{
			Tone: warn, Text: fmt.Sprintf("The store is %d %% full: beyond its limit, events are refused", 100*q.Bytes/q.MaxBytes), Spoken: "The store is nearly full",
		})
	}
	return all
}

// waiting returns the subject and the verb of what waits.
func waiting(events int64) string {
	if events == 1 {
		return "1 event waits"
	}
	return comma(events) + " events wait"
}

// died returns the subject and the verb of what is dead for an upstream.
func died(deliveries int64) string {
	if deliveries == 1 {
		return "1 delivery to it is dead"
	}
	return comma(deliveries) + " deliveries to it are dead"
}

// ofUpstream returns what is wrong with an upstream, if anything is.
func ofUpstream(u admin.UpstreamStatus, now time.Time) problem {
	p := problem{Tone: warn, Href: link("events", "upstream", u.Name)}
	switch {
	case u.Pending > 0:
		p.Href = link("events", "state", "pending", "upstream", u.Name)
	case u.Dead > 0:
		p.Href = link("dead", "upstream", u.Name)
	}
	switch {
	case u.Orphaned:
		p.Spoken = u.Name + " is no longer configured"
		p.Text = p.Spoken + ": " + waiting(u.Pending) + " for it"
		if u.Pending == 0 {
			p.Text = p.Spoken + ": " + died(u.Dead)
		}
	case u.Paused && u.PauseReason == forwarder.Failures:
		p.Tone = bad
		p.Spoken = u.Name + " does not accept events"
		p.Text = u.Name + " has accepted no event since the start"
		if d := notAccepted(u, now); d > 0 {
			p.Text = u.Name + " has not accepted an event for " + span(d)
		}
	case u.Paused:
		p.Text = u.Name + " asked for a pause " + until(u.PausedUntil, now)
		p.Spoken = u.Name + " asked for a pause"
	case fails(u):
		p.Text = "The last attempt at " + u.Name + " failed " + ago(u.LastFailure.At, now).Text
		p.Spoken = "The last attempt at " + u.Name + " failed"
	}
	return p
}

// notAccepted returns how long an upstream has accepted nothing although something waited, or 0
// if that is not known.
func notAccepted(u admin.UpstreamStatus, now time.Time) time.Duration {
	waited := time.Duration(u.OldestPendingSeconds * float64(time.Second))
	if u.LastSuccess == nil {
		return waited
	}
	since := now.Sub(*u.LastSuccess)
	if u.Pending == 0 {
		return since
	}
	return min(since, waited)
}

// aside returns the counts of what waits for a decision.
func aside(s *snapshot) (all []problem) {
	q := s.status.Queue
	for _, c := range []struct {
		n    int64
		name string
		tone tone
	}{{s.dead(), "dead", bad}, {q.Quarantined, "quarantined", warn}, {q.Unrouted, "unrouted", warn}, {q.Unconfirmed, "unconfirmed", warn}} {
		if c.n > 0 {
			all = append(all, problem{Tone: c.tone, Text: comma(c.n) + " " + c.name, Href: c.name})
		}
	}
	return all
}
