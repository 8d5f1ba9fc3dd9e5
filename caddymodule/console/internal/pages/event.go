package pages

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// An eventPage is the data of the page of one event.
type eventPage struct {
	row
	Steps   []step
	Kept    string // until when
	NoneWhy string // why it has no deliveries; "" if it has some

	Replay   string // the address of the preview; "" if it cannot be replayed
	NoReplay string // why it cannot be replayed
	Purge    string // the address of the preview
}

// A step is a part of the way of an event.
type step struct {
	Name     string
	Upstream bool // whether it is a delivery
	State    badge
	Tried    string
	Next     string
	Why      string // why it waits; may be ""
	Attempts []attempt
	Replay   string // the address of the preview; "" if it cannot be replayed
}

// An attempt is a row of a step's table, or a remark between two.
type attempt struct {
	Remark  string
	Number  int
	At      moment
	Took    string
	Outcome badge
	Status  string
	Meaning string
}

// event answers the page of one event.
func (p *Pages) event(v *visit) (content, error) {
	id := v.URL.Query().Get("id")
	if v.state.err != nil {
		return content{}, v.state.err
	}
	r, err := v.gateway.Queue().Event(v.Context(), id)
	if errors.Is(err, queue.ErrNotFound) {
		return content{}, failure{
			http.StatusNotFound, "There is no event with this id",
			"It may have been purged, or its time in the store may be over. If the id is that of a note or a transcription, search for it on the page of events.",
		}
	}
	if err != nil {
		return content{}, err
	}
	return content{template: "event", title: r.Type + " " + r.ID, data: v.newEvent(r), refresh: true}, nil
}

func (v *visit) newEvent(r queue.Record) eventPage {
	e := admin.NewEvent(r, true)
	p := eventPage{row: newRow(e, v.now), NoneWhy: noneWhy(e), Purge: selection{IDs: []string{e.ID}}.preview(purge)}
	switch {
	case e.State == queue.Quarantined:
		p.NoReplay = quarantineHint
	case !e.Payload:
		p.NoReplay = "Its payload is no longer kept, so it cannot be replayed. keep_delivered keeps payloads after the delivery."
	default:
		p.Replay = selection{IDs: []string{e.ID}}.preview(replay)
	}
	if c := v.gateway.Config(); c != nil {
		p.Kept = kept(r, c.Settings)
	}
	blocked := false
	for _, s := range e.Stages {
		if s.Stage == admin.Completion {
			blocked = s.State == queue.Pending
			p.Steps = append(p.Steps, v.newStep("Confirmed by the provider's API", s.Course, wording.StageMeaning))
		}
	}
	for _, d := range e.Deliveries {
		s := v.newStep(d.Upstream, d.Course, wording.Meaning)
		s.Upstream = true
		if d.State == queue.Pending {
			s.Why = v.why(d, blocked)
		}
		if p.Replay != "" && len(e.Deliveries) > 1 {
			s.Replay = selection{IDs: []string{e.ID}, Upstream: d.Upstream}.preview(replay)
		}
		p.Steps = append(p.Steps, s)
	}
	for _, s := range e.Stages {
		if s.Stage == admin.Cleanup {
			p.Steps = append(p.Steps, v.newStep("Deleted at the provider", s.Course, wording.StageMeaning))
		}
	}
	return p
}

// noneWhy returns why an event has no deliveries, as a sentence, or "".
func noneWhy(e admin.Event) string {
	return sentence(strings.ReplaceAll(strings.TrimPrefix(wording.WhyNone(e), "none: "), "`", ""))
}

// quarantineHint is what to do about a quarantined event.
const quarantineHint = "It is genuine, but its body is not what the provider documents, so no upstream could understand it. Its bytes are kept for inspection: caddy scribegate export --state quarantined --payloads"

// why returns why a pending delivery waits.
func (v *visit) why(d admin.Delivery, blocked bool) string {
	if blocked {
		return "It waits until the provider's API has confirmed the event."
	}
	for _, u := range v.state.status.Upstreams {
		switch {
		case u.Name != d.Upstream:
		case u.Orphaned:
			return "The upstream is no longer configured: define it again, or purge its events."
		case u.Paused:
			_, state, detail := stateOf(u, v.now)
			return sentence("the upstream is " + state + ": " + detail)
		case d.Attempts == 0:
			return "It is delivered as soon as the upstream has room for one more attempt."
		}
	}
	return ""
}

// newStep returns the step of a delivery or a stage.
func (v *visit) newStep(name string, c admin.Course, meaning func(admin.Attempt) string) step {
	s := step{Name: name, State: badgeOf(c.State), Tried: wording.Tried(c)}
	if c.NextAttempt != nil {
		s.Next = "due"
		if c.NextAttempt.After(v.now) {
			s.Next = "in " + span(c.NextAttempt.Sub(v.now))
		}
	}
	remark := func(format string, args ...any) {
		s.Attempts = append(s.Attempts, attempt{Remark: fmt.Sprintf(format, args...)})
	}
	switch {
	case c.LeftOut > 0:
		remark("%s left out: the newest %d are kept", wording.Counted(c.LeftOut, "earlier attempt"), queue.MaxHistory)
	case len(c.History) >= queue.MaxHistory:
		remark("The newest %d attempts are kept; earlier ones may be left out", queue.MaxHistory)
	}
	last := 0
	for _, a := range c.History {
		if a.Attempt <= last {
			remark("Replayed: attempts are counted from 1 again")
		}
		last = a.Attempt
		row := attempt{
			Number: a.Attempt, At: ago(a.At, v.now), Took: took(time.Duration(a.Seconds * float64(time.Second))),
			Outcome: badge{outcomeTone(a.Outcome), string(a.Outcome)}, Meaning: meaning(a),
		}
		if a.Status != 0 {
			row.Status = strconv.Itoa(a.Status)
		}
		s.Attempts = append(s.Attempts, row)
	}
	if c.Attempts < last {
		remark("Replayed: not attempted since")
	}
	return s
}

func outcomeTone(r queue.Result) tone {
	switch r {
	case queue.Success:
		return good
	case queue.Gone:
		return bad
	default:
		return warn
	}
}

// kept returns until when an event is kept, in words.
func kept(r queue.Record, s queue.Settings) string {
	if r.EndedAt.IsZero() {
		return "until every delivery has ended"
	}
	text := "until " + at(r.EndedAt.Add(policy.Retention(r.State, s)), "").Exact()
	if r.State == queue.Delivered && r.HasPayload && len(r.Deliveries) > 0 && s.KeepDelivered < s.HistoryRetention {
		text += ", its payload until " + at(r.EndedAt.Add(s.KeepDelivered), "").Exact()
	}
	return text
}
