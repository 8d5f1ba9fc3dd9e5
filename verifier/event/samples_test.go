package event_test

import (
	"strings"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

const generatedBody = `{"event":"note.generated","note_id":"a1b2","status":"completed","created_at":"2026-03-19T15:30:00.000Z",` +
	`"data":{ "plan" : "rest\u00e9",	"plan":"\ud83d" },"more":1}`

var receivedAt = time.Date(2026, 3, 19, 16, 30, 0, 412_987_654, time.FixedZone("", 3600))

func generated() *event.Event {
	start := strings.Index(generatedBody, `{ "plan"`)
	return &event.Event{
		ID:          "soapnoteapi-00112233445566778899aabbccddeeff",
		Source:      "https://soapnoteapi.com",
		Type:        "com.soapnoteapi.note.generated",
		Subject:     "a1b2",
		Time:        "2026-03-19T15:30:00.000Z",
		ExpiryTime:  "2026-03-20T15:30:00+01:00",
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		TraceState:  "vendor=a b,other=\"1\"",
		Provider:    "soapnoteapi",
		Kind:        event.KindNote,
		ObjectID:    "a1b2",
		Status:      "completed",
		OccurredAt:  "2026-03-19T15:30:00.000Z",
		ReceivedAt:  receivedAt,
		Metadata:    []event.Param{{Name: "user_id", Values: []string{"123", ""}}, {Name: "ö\"", Values: []string{"\x00\\"}}},
		Note:        event.Span{Start: start, End: strings.Index(generatedBody, `,"more"`)},
		Body:        []byte(generatedBody),
		ContentType: "application/json",
		Proof:       []event.Field{{Name: "X-SoapNoteAPI-Signature", Value: "00"}, {Name: "X-SoapNoteAPI-Timestamp", Value: "1"}},
		Query:       "user_id=123&user_id=&%C3%B6%22=%00%5C",
	}
}

func failed() *event.Event {
	e := generated()
	e.Type, e.Status = "com.soapnoteapi.note.failed", "failed"
	e.Subject, e.ObjectID = "", "a note\n"
	e.ExpiryTime, e.TraceParent, e.TraceState = "", "", ""
	e.Note, e.Metadata = event.Span{}, nil
	return e
}

func tested() *event.Event {
	e := failed()
	e.Type, e.Status = "com.soapnoteapi.test", "test"
	e.Subject, e.ObjectID = "test_1", "test_1"
	return e
}

func unknown() *event.Event {
	e := failed()
	e.Type, e.Status = "com.soapnoteapi.other", "other"
	e.OccurredAt, e.Time = "", "2026-03-19T15:30:00.412Z"
	e.WithRaw = true
	e.Body = []byte(" {\"event\":\"a b\",\"data\":[1, 2]}\n")
	e.Note = event.Span{Start: 23, End: 29}
	return e
}

func transcription() *event.Event {
	return &event.Event{
		ID:         "soniox-00112233445566778899aabbccddeeff",
		Source:     "https://soniox.com",
		Type:       "com.soniox.transcription.error",
		Subject:    "73d4357d-cad2-4338-a60d-ec6f2044f721",
		Time:       "2026-03-19T15:30:00.412Z",
		Provider:   "soniox",
		Kind:       event.KindTranscription,
		ObjectID:   "73d4357d-cad2-4338-a60d-ec6f2044f721",
		Status:     "failed",
		ReceivedAt: receivedAt,
		WithRaw:    true,
		Body:       []byte(`{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721", "status":"error"}`),
		Proof:      []event.Field{{Name: "Authorization"}},
	}
}

func completed() *event.Event {
	e := transcription()
	e.Type, e.Status = "com.soniox.transcription.completed", "completed"
	e.Body = []byte(`{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"completed"}`)
	e.Transcription = []byte(`{"created_at":"2026-03-19T15:20:00Z","model":"stt-async-v3","audio_duration_ms":16079,` +
		`"transcript":{"text":"cough for \u0033 days","tokens":[ {"text":"cough","start_ms":0} ]}}`)
	return e
}

func quarantined() *event.Event {
	e := unknown()
	e.ObjectID, e.Note, e.WithRaw, e.Body = "", event.Span{}, false, []byte("{")
	return e
}

var kinds = []struct {
	name  string
	event func() *event.Event
	data  string
	head  string
}{
	{
		"note.generated", generated,
		`{"provider":"soapnoteapi","kind":"note","id":"a1b2","status":"completed",` +
			`"occurred_at":"2026-03-19T15:30:00.000Z","received_at":"2026-03-19T15:30:00.412Z",` +
			`"note":{ "plan" : "rest\u00e9",	"plan":"\ud83d" },"metadata":{"user_id":["123",""],"ö\"":["\u0000\\"]}}`,
		`{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
			`"type":"com.soapnoteapi.note.generated","subject":"a1b2","time":"2026-03-19T15:30:00.000Z",` +
			`"datacontenttype":"application/json","expirytime":"2026-03-20T15:30:00+01:00",` +
			`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",` +
			`"tracestate":"vendor=a b,other=\"1\"","data":`,
	},
	{
		"note.failed", failed,
		`{"provider":"soapnoteapi","kind":"note","id":"a note\n","status":"failed",` +
			`"occurred_at":"2026-03-19T15:30:00.000Z","received_at":"2026-03-19T15:30:00.412Z","metadata":{}}`,
		`{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
			`"type":"com.soapnoteapi.note.failed","time":"2026-03-19T15:30:00.000Z",` +
			`"datacontenttype":"application/json","data":`,
	},
	{
		"test", tested,
		`{"provider":"soapnoteapi","kind":"note","id":"test_1","status":"test",` +
			`"occurred_at":"2026-03-19T15:30:00.000Z","received_at":"2026-03-19T15:30:00.412Z","metadata":{}}`,
		`{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
			`"type":"com.soapnoteapi.test","subject":"test_1","time":"2026-03-19T15:30:00.000Z",` +
			`"datacontenttype":"application/json","data":`,
	},
	{
		"unknown", unknown,
		`{"provider":"soapnoteapi","kind":"note","id":"a note\n","status":"other",` +
			`"received_at":"2026-03-19T15:30:00.412Z","note":[1, 2],"metadata":{},` +
			`"raw": {"event":"a b","data":[1, 2]}` + "\n}",
		`{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
			`"type":"com.soapnoteapi.other","time":"2026-03-19T15:30:00.412Z",` +
			`"datacontenttype":"application/json","data":`,
	},
	{
		"transcription", transcription,
		`{"provider":"soniox","kind":"transcription","id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"failed",` +
			`"received_at":"2026-03-19T15:30:00.412Z","metadata":{},` +
			`"raw":{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721", "status":"error"}}`,
		`{"specversion":"1.0","id":"soniox-00112233445566778899aabbccddeeff","source":"https://soniox.com",` +
			`"type":"com.soniox.transcription.error","subject":"73d4357d-cad2-4338-a60d-ec6f2044f721",` +
			`"time":"2026-03-19T15:30:00.412Z","datacontenttype":"application/json","data":`,
	},
	{
		"completed transcription", completed,
		`{"provider":"soniox","kind":"transcription","id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"completed",` +
			`"received_at":"2026-03-19T15:30:00.412Z",` +
			`"transcription":{"created_at":"2026-03-19T15:20:00Z","model":"stt-async-v3","audio_duration_ms":16079,` +
			`"transcript":{"text":"cough for \u0033 days","tokens":[ {"text":"cough","start_ms":0} ]}},` +
			`"metadata":{},"raw":{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"completed"}}`,
		`{"specversion":"1.0","id":"soniox-00112233445566778899aabbccddeeff","source":"https://soniox.com",` +
			`"type":"com.soniox.transcription.completed","subject":"73d4357d-cad2-4338-a60d-ec6f2044f721",` +
			`"time":"2026-03-19T15:30:00.412Z","datacontenttype":"application/json","data":`,
	},
	{
		"quarantined", quarantined,
		`{"provider":"soapnoteapi","kind":"note","id":"","status":"other",` +
			`"received_at":"2026-03-19T15:30:00.412Z","metadata":{}}`,
		`{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
			`"type":"com.soapnoteapi.other","time":"2026-03-19T15:30:00.412Z",` +
			`"datacontenttype":"application/json","data":`,
	},
}
