package queuetest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Reason is the reason of the suite's quarantined events.
const Reason = "created_at is missing"

// PlantedText is in every part of a sample event that must be sealed.
const PlantedText = "MARKER-of-a-patient-MARKER"

// An Option changes a sample event.
type Option func(*event.Event)

// Subject sets the event's subject.
func Subject(s string) Option { return func(e *event.Event) { e.Subject = s } }

// Type sets the event's type from its short type.
func Type(short string) Option {
	return func(e *event.Event) { e.Type = event.TypePrefix(e.Provider) + short }
}

// Event returns an event with every field set, received at the time.
func Event(id string, receivedAt time.Time, options ...Option) *event.Event {
	body := []byte(`{"event":"note.generated","note_id":"` + id + `","data":{"plan":"` + PlantedText + `"}}`)
	start := bytes.Index(body, []byte(`{"plan"`))
	e := &event.Event{
		ID:          id,
		Source:      "https://soapnoteapi.com",
		Type:        "com.soapnoteapi.note.generated",
		Subject:     "subject-" + id,
		Time:        "2026-03-19T15:30:00.000Z",
		ExpiryTime:  "2026-03-20T15:30:00.000Z",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		TraceState:  "a=b",
		Provider:    "soapnoteapi",
		Kind:        event.KindNote,
		ObjectID:    id,
		Status:      "completed",
		OccurredAt:  "2026-03-19T15:30:00.000Z",
		ReceivedAt:  receivedAt,
		Metadata:    []event.Param{{Name: "user_id", Values: []string{PlantedText, "2"}}},
		Note:        event.Span{Start: start, End: len(body) - 1},
		WithRaw:     true,
		Body:        body,
		ContentType: "application/json",
		Proof:       []event.Field{{Name: "X-Soapnoteapi-Signature", Value: PlantedText}},
		Query:       "user_id=" + PlantedText,
	}
	for _, o := range options {
		o(e)
	}
	return e
}

// The stages of the sample events.
var (
	completion = queue.Completion("soapnoteapi", "https://soapnoteapi.com")
	cleanup    = queue.Cleanup("soapnoteapi", "https://soapnoteapi.com")
)

// completed returns an event in the place of e, with n more bytes.
func completed(e *event.Event, n int) *event.Event {
	c := *e
	c.Status = "confirmed" // as long as "completed"
	c.Body = slices.Concat(e.Body, bytes.Repeat([]byte("x"), n))
	return &c
}

// asideItem returns an item that is set aside in the state.
func asideItem(e *event.Event, s queue.State) queue.Item {
	it := queue.Item{Event: e, State: s}
	if s == queue.Quarantined {
		it.Reason = Reason
	}
	return it
}

// same reports whether a returned event equals the stored one.
func same(got, want *event.Event) bool {
	return got != nil && reflect.DeepEqual(got, want)
}

// delivery returns a record's delivery to an upstream.
func delivery(r queue.Record, upstream string) queue.DeliveryRecord {
	for _, d := range r.Deliveries {
		if d.Upstream == upstream {
			return d
		}
	}
	return queue.DeliveryRecord{}
}

// text returns a record as text, with its deliveries sorted by upstream, since their
// order is not defined.
func text(r queue.Record) string {
	for _, all := range []*[]queue.DeliveryRecord{&r.Deliveries, &r.Stages} {
		*all = slices.Clone(*all)
		slices.SortFunc(*all, func(a, b queue.DeliveryRecord) int { return strings.Compare(a.Upstream, b.Upstream) })
	}
	return fmt.Sprintf("%+v", r)
}
