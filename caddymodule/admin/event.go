package admin

import (
	"cmp"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An EventPage is a part of a listing.
type EventPage struct {
	Events     []Event `json:"events"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

// An Event is an event without its payload.
type Event struct {
	ID         string      `json:"id"`
	Provider   string      `json:"provider"`
	Type       string      `json:"type"`
	Subject    string      `json:"subject"` // the id of the note or transcription, or "" if it is not known
	ReceivedAt time.Time   `json:"received_at"`
	Payload    bool        `json:"payload"`          // whether the payload is still kept
	State      queue.State `json:"state,omitempty"`  // "" if it is not known
	Reason     string      `json:"reason,omitempty"` // of a quarantined or unconfirmed event
	Deliveries []Delivery  `json:"deliveries"`
	Stages     []Stage     `json:"stages,omitempty"`
}

// A Stage is a step of an event that is not a delivery.
type Stage struct {
	Stage string `json:"stage"` // Completion or Cleanup
	Course
}

// The stages of an event whose provider's API is asked.
const (
	Completion = "completion" // the result is fetched, before the first delivery
	Cleanup    = "cleanup"    // the result is deleted at the provider, after the last delivery
)

// A Delivery is the delivery of an event to an upstream.
type Delivery struct {
	Upstream string `json:"upstream"`
	Course
}

// A Course is the state of a delivery or a stage, and its attempts.
type Course struct {
	State       queue.State `json:"state"`
	Attempts    int         `json:"attempts"`
	Unused      int         `json:"unused,omitempty"` // attempts that do not count toward the limit
	NextAttempt *time.Time  `json:"next_attempt,omitempty"`
	History     []Attempt   `json:"history,omitempty"`

	// LeftOut is the number of attempts that are no longer kept: those before the first
	// one in History, since the replay before it, if any.
	LeftOut int `json:"history_left_out,omitempty"`
}

// An Attempt is an attempt at a delivery.
type Attempt struct {
	Attempt int          `json:"attempt"`
	At      time.Time    `json:"at"`
	Seconds float64      `json:"seconds"`
	Outcome queue.Result `json:"outcome"`
	Status  int          `json:"status,omitempty"`
	Unused  bool         `json:"unused,omitempty"` // whether it does not count toward the limit
}

// NewEvent returns an event of the queue, with or without the history of its deliveries. The
// deliveries are in the order of the upstreams' names, whether the queue has them in memory or
// reads them.
func NewEvent(r queue.Record, history bool) Event {
	out := Event{
		ID: r.ID, Provider: r.Provider, Type: r.Type, Subject: r.Subject, ReceivedAt: r.ReceivedAt.UTC(),
		Payload: r.HasPayload, State: r.State, Reason: r.Reason,
		Deliveries: make([]Delivery, len(r.Deliveries)),
	}
	for i, d := range r.Deliveries {
		out.Deliveries[i] = Delivery{d.Upstream, newCourse(d, history)}
	}
	slices.SortFunc(out.Deliveries, func(a, b Delivery) int { return cmp.Compare(a.Upstream, b.Upstream) })
	for _, d := range r.Stages {
		name := Completion
		if queue.IsCleanup(d.Upstream) {
			name = Cleanup
		}
		out.Stages = append(out.Stages, Stage{name, newCourse(d, history)})
	}
	return out
}

func newCourse(d queue.DeliveryRecord, history bool) Course {
	c := Course{State: d.State, Attempts: d.Attempts, Unused: d.Attempts - d.Used, NextAttempt: OptionalTime(d.NextAttempt)}
	if !history || len(d.History) == 0 {
		return c
	}
	c.LeftOut = d.History[0].Number - 1
	for _, a := range d.History {
		c.History = append(c.History, Attempt{
			Attempt: a.Number, At: a.At.UTC(), Seconds: a.Duration.Seconds(), Outcome: a.Result, Status: a.Status, Unused: !a.Used,
		})
	}
	return c
}

// OptionalTime returns a pointer to the time in UTC, or nil for the zero time.
func OptionalTime(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	at = at.UTC()
	return &at
}
