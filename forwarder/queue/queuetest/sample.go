package queuetest

import (
	"bytes"
	"reflect"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Reason is why the suite's quarantined events are.
const Reason = "created_at is missing"

// Event returns an event with every field set, received at the time.
func Event(id string, receivedAt time.Time) *event.Event {
	body := []byte(`{"event":"note.generated","note_id":"` + id + `","data":{"plan":"` + PlantedText + `"}}`)
	start := bytes.Index(body, []byte(`{"plan"`))
	return &event.Event{
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
}

// PlantedText stands in every part of a sample event that must be sealed.
const PlantedText = "MARKER-of-a-patient-MARKER"

// same reports whether an event came back as it was stored.
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
