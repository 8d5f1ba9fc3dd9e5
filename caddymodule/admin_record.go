package caddymodule

import (
	"encoding/json"
	"time"
	"unicode/utf8"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// eventPage is a part of a listing in the admin API.
type eventPage struct {
	Events     []eventRecord `json:"events"`
	NextCursor string        `json:"next_cursor,omitempty"`
}

// eventRecord is an event without its payload in the admin API.
type eventRecord struct {
	ID         string           `json:"id"`
	Provider   string           `json:"provider"`
	Type       string           `json:"type"`
	Subject    string           `json:"subject"` // the note's or transcription's id; "" where it is not known
	ReceivedAt time.Time        `json:"received_at"`
	Payload    bool             `json:"payload"`          // whether it is still kept
	State      queue.State      `json:"state,omitempty"`  // "" where it is not known
	Reason     string           `json:"reason,omitempty"` // of a quarantined one
	Deliveries []deliveryRecord `json:"deliveries"`
}

type deliveryRecord struct {
	Upstream    string          `json:"upstream"`
	State       queue.State     `json:"state"`
	Attempts    int             `json:"attempts"`
	Unused      int             `json:"unused,omitempty"` // how many of them use up none of the event's attempts
	NextAttempt *time.Time      `json:"next_attempt,omitempty"`
	History     []attemptRecord `json:"history,omitempty"`

	// LeftOut is how many attempts were made before the first in History, since
	// the replay before it if there was one, and are no longer kept.
	LeftOut int `json:"history_left_out,omitempty"`
}

type attemptRecord struct {
	Attempt int          `json:"attempt"`
	At      time.Time    `json:"at"`
	Seconds float64      `json:"seconds"`
	Outcome queue.Result `json:"outcome"`
	Status  int          `json:"status,omitempty"`
	Unused  bool         `json:"unused,omitempty"` // whether it uses up none of the event's attempts
}

func newEventRecord(r queue.Record, history bool) eventRecord {
	out := eventRecord{
		ID: r.ID, Provider: r.Provider, Type: r.Type, Subject: r.Subject, ReceivedAt: r.ReceivedAt.UTC(),
		Payload: r.HasPayload, State: r.State, Reason: r.Reason,
		Deliveries: make([]deliveryRecord, len(r.Deliveries)),
	}
	for i, d := range r.Deliveries {
		rec := deliveryRecord{Upstream: d.Upstream, State: d.State, Attempts: d.Attempts, Unused: d.Attempts - d.Used, NextAttempt: known(d.NextAttempt)}
		if history && len(d.History) > 0 {
			rec.LeftOut = d.History[0].Number - 1
			for _, a := range d.History {
				rec.History = append(rec.History, attemptRecord{
					Attempt: a.Number, At: a.At.UTC(), Seconds: a.Duration.Seconds(), Outcome: a.Result, Status: a.Status, Unused: !a.Used,
				})
			}
		}
		out.Deliveries[i] = rec
	}
	return out
}

// storedPayload is an event's payload in the admin API: the event, or for a
// quarantined one the bytes that came, as text or else in base64.
type storedPayload struct {
	Event json.RawMessage `json:"event,omitempty"`
	Body  *string         `json:"body,omitempty"`
	Bytes []byte          `json:"body_base64,omitempty"`
}

func newPayload(e *event.Event, quarantined bool) storedPayload {
	if !quarantined {
		return storedPayload{Event: e.AppendStructured(nil)}
	}
	if utf8.Valid(e.Body) {
		body := string(e.Body)
		return storedPayload{Body: &body}
	}
	return storedPayload{Bytes: e.Body}
}
