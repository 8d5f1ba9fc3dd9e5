package pages

import (
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// A row is an event in a table.
type row struct {
	ID, Subject string
	Href        string // of the event
	SubjectHref string // of all events of the subject
	Provider    string
	Type        string
	Received    moment
	State       badge
	Reason      string
	Payload     bool
	Deliveries  []brief
}

// A brief is a delivery in a row.
type brief struct {
	Upstream string
	State    badge
	Tried    string
	Next     string
}

// A badge is a state as a word with a tone.
type badge struct {
	Tone tone
	Text string
}

// tones are those of the states.
var tones = map[queue.State]tone{
	queue.Delivered: good, queue.Pending: quiet, queue.Dead: bad, queue.Quarantined: warn, queue.Unrouted: warn, queue.Unconfirmed: warn,
}

func badgeOf(s queue.State) badge {
	if t, known := tones[s]; known {
		return badge{t, string(s)}
	}
	return badge{quiet, "unknown"}
}

// rows returns events as rows.
func rows(records []queue.Record, now time.Time) []row {
	all := make([]row, len(records))
	for i, r := range records {
		all[i] = newRow(admin.NewEvent(r, false), now)
	}
	return all
}

func newRow(e admin.Event, now time.Time) row {
	r := row{
		ID: e.ID, Subject: e.Subject, Href: link("event", "id", e.ID), SubjectHref: link("events", "q", e.Subject),
		Provider: e.Provider, Type: e.Type, Received: ago(e.ReceivedAt, now), State: badgeOf(e.State), Reason: e.Reason, Payload: e.Payload,
	}
	for _, d := range e.Deliveries {
		b := brief{Upstream: d.Upstream, State: badgeOf(d.State)}
		if d.Attempts > 1 || d.Attempts == 1 && d.State != queue.Delivered { // one is what is expected
			b.Tried = wording.Counted(d.Attempts, "attempt")
		}
		if d.State == queue.Pending && d.NextAttempt != nil && d.NextAttempt.After(now) {
			b.Next = "next in " + span(d.NextAttempt.Sub(now)+time.Second-1) // never in 0 s
		}
		r.Deliveries = append(r.Deliveries, b)
	}
	return r
}
