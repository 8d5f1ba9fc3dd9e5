package verifier_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

func TestSOAPNoteAPIEvent(t *testing.T) {
	t.Parallel()
	const envelope = `"note_id":"a1b2","created_at":"2026-03-19T15:30:00.000Z"`
	// base is the event of a failed note; the cases say what differs.
	base := func(r verifier.Request) *event.Event {
		return &event.Event{
			ID:          "soapnoteapi-" + hash("https://soapnoteapi.com\x00"+string(r.Body)),
			Source:      "https://soapnoteapi.com",
			Type:        "com.soapnoteapi.note.failed",
			Subject:     "a1b2",
			Time:        "2026-03-19T15:30:00.000Z",
			Provider:    "soapnoteapi",
			Kind:        "note",
			ObjectID:    "a1b2",
			Status:      "failed",
			OccurredAt:  "2026-03-19T15:30:00.000Z",
			ReceivedAt:  r.ReceivedAt,
			Metadata:    []event.Param{{Name: "user_id", Values: []string{"1", "2"}}, {Name: "order_id", Values: []string{"3"}}},
			Body:        r.Body,
			ContentType: "application/json; charset=utf-8",
			Proof: []event.Field{
				{Name: "X-SoapNoteAPI-Signature", Value: strings.Repeat("AB", 32)},
				{Name: "X-SoapNoteAPI-Timestamp", Value: nowText},
			},
			Query: "user_id=1&order_id=3&user_id=2&token=x",
		}
	}
	unknown := func(short, status string) func(e *event.Event) {
		return func(e *event.Event) {
			e.Type, e.Status, e.WithRaw = "com.soapnoteapi."+short, status, true
		}
	}
	tests := []struct {
		name   string
		body   string
		note   string
		change func(e *event.Event)
	}{
		{
			"generated", `{"event":"note.generated","status":"completed",` + envelope + `,"data": { "plan":"rest", "expires_at":"2026-03-20T15:30:00Z" } }`,
			`{ "plan":"rest", "expires_at":"2026-03-20T15:30:00Z" }`,
			func(e *event.Event) {
				e.Type, e.Status, e.ExpiryTime = "com.soapnoteapi.note.generated", "completed", "2026-03-20T15:30:00Z"
			},
		},
		{
			"generated, whatever its status says", `{"data":{},"event":"note.generated","status":"failed",` + envelope + `}`,
			`{}`,
			func(e *event.Event) { e.Type, e.Status = "com.soapnoteapi.note.generated", "completed" },
		},
		{"failed", `{"event":"note.failed","status":"failed",` + envelope + `}`, "", func(*event.Event) {}},
		{"failed with data", `{"event":"note.failed","status":"failed",` + envelope + `,"data":null}`, "null", func(*event.Event) {}},
		{
			"test", `{"event":"test","status":"test",` + envelope + `}`, "",
			func(e *event.Event) { e.Type, e.Status = "com.soapnoteapi.test", "test" },
		},
		{"unknown", `{"event":"note.signed","status":"signed_off",` + envelope + `,"data":[1, 2]}`, "[1, 2]", unknown("note.signed", "signed_off")},
		{"unknown with a status of its own", `{"event":"Note-2_x","status":"on hold",` + envelope + `}`, "", unknown("Note-2_x", "other")},
		{"unknown with a long status", `{"event":"x","status":"` + strings.Repeat("s", 65) + `",` + envelope + `}`, "", unknown("x", "other")},
		{"unknown with the longest status", `{"event":"x","status":"` + strings.Repeat("s", 64) + `",` + envelope + `}`, "", unknown("x", strings.Repeat("s", 64))},
		{"unknown in another case", `{"event":"Note.Generated","status":"completed",` + envelope + `}`, "", unknown("Note.Generated", "completed")},
		{"event of the longest name", `{"event":"` + strings.Repeat("e", 64) + `","status":"a",` + envelope + `}`, "", unknown(strings.Repeat("e", 64), "a")},
		{"event of a longer name", `{"event":"` + strings.Repeat("e", 65) + `","status":"a",` + envelope + `}`, "", unknown("other", "a")},
		{"event with a space", `{"event":"note generated","status":"a",` + envelope + `,"data":{"expires_at":"2026-03-20T15:30:00Z"}}`, `{"expires_at":"2026-03-20T15:30:00Z"}`, func(e *event.Event) {
			unknown("other", "a")(e)
			e.ExpiryTime = "2026-03-20T15:30:00Z"
		}},
		{"event with a line break", `{"event":"a\n","status":"a",` + envelope + `}`, "", unknown("other", "a")},
		{"event called other", `{"event":"other","status":"a",` + envelope + `}`, "", unknown("other", "a")},
		{
			"note_id with a space", `{"event":"note.failed","status":"failed","note_id":"Jane Doe","created_at":"2026-03-19T15:30:00.000Z"}`, "",
			func(e *event.Event) { e.Subject, e.ObjectID = "", "Jane Doe" },
		},
		{
			"longest note_id", `{"event":"note.failed","status":"failed","note_id":"` + strings.Repeat("n", 128) + `","created_at":"2026-03-19T15:30:00.000Z"}`, "",
			func(e *event.Event) { e.Subject, e.ObjectID = strings.Repeat("n", 128), strings.Repeat("n", 128) },
		},
		{
			"longer note_id", `{"event":"note.failed","status":"failed","note_id":"` + strings.Repeat("n", 129) + `","created_at":"2026-03-19T15:30:00.000Z"}`, "",
			func(e *event.Event) { e.Subject, e.ObjectID = "", strings.Repeat("n", 129) },
		},
		{
			"note_id of all signs", `{"event":"note.failed","status":"failed","note_id":"aZ0._:-","created_at":"2026-03-19T15:30:00.000Z"}`, "",
			func(e *event.Event) { e.Subject, e.ObjectID = "aZ0._:-", "aZ0._:-" },
		},
		{
			"time in another zone", `{"event":"note.failed","status":"failed","note_id":"a1b2","created_at":"2026-03-19T15:30:00+02:00"}`, "",
			func(e *event.Event) {
				e.Time, e.OccurredAt = "2026-03-19T15:30:00+02:00", "2026-03-19T15:30:00+02:00"
			},
		},
		{
			"time that is none", `{"event":"note.failed","status":"failed","note_id":"a1b2","created_at":"yesterday"}`, "",
			func(e *event.Event) { e.Time, e.OccurredAt = "2026-03-19T15:30:00.412Z", "" },
		},
		{
			"escaped strings", `{"\u0065vent":"note.f\u0061iled","status":"failed","note_id":"\u00611b2","created_at":"2026-03-19T15:30:00.000\u005a"}`, "",
			func(*event.Event) {},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := request(tt.body)
			got, err := soapNoteAPI(secret).Event(r)
			if err != nil {
				t.Fatal(err)
			}
			if note := tt.body[got.Note.Start:got.Note.End]; note != tt.note {
				t.Errorf("the note is %q, want %q", note, tt.note)
			}
			want := base(r)
			tt.change(want)
			want.Note = got.Note
			check(t, got, want)
			eventtest.Validate(t, got.AppendStructured(nil))
		})
	}
}

func TestSOAPNoteAPIExpiryTime(t *testing.T) {
	t.Parallel()
	const early, late = "2026-03-20T15:30:00Z", "2026-03-21T15:30:00Z"
	tests := []struct{ name, data, want string }{
		{"none", `{}`, ""},
		{"one", `{"a":{},"expires_at":"` + early + `","b":[]}`, early},
		{"escaped", `{"expires\u005fat":"2026-03-20T15:30:00\u005A"}`, early},
		{"not RFC 3339", `{"expires_at":"tomorrow"}`, ""},
		{"with a space", `{"expires_at":" ` + early + `"}`, ""},
		{"not a string", `{"expires_at":1774020600}`, ""},
		{"null", `{"expires_at":null}`, ""},
		{"half a pair", `{"expires_at":"\ud83d"}`, ""},
		{"the first of two", `{"expires_at":"` + early + `","expires_at":"` + late + `"}`, early},
		{"the first that is one", `{"expires_at":{},"expires_at":"x","expires_at":"` + late + `"}`, late},
		{"another case", `{"Expires_At":"` + early + `"}`, ""},
		{"a name that is half a pair", `{"\ud83d":"` + late + `","expires_at":"` + early + `"}`, early},
		{"deeper", `{"a":{"expires_at":"` + early + `"},"b":[{"expires_at":"` + early + `"}]}`, ""},
		{"in text", `{"a":"\"expires_at\":\"` + early + `\""}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			body := `{"event":"note.generated","note_id":"a","status":"completed","created_at":"x","data":` + tt.data + `,"expires_at":"` + late + `"}`
			e, err := soapNoteAPI(secret).Event(request(body))
			if err != nil {
				t.Fatal(err)
			}
			if e.ExpiryTime != tt.want {
				t.Errorf("expirytime is %q, want %q", e.ExpiryTime, tt.want)
			}
			if note := body[e.Note.Start:e.Note.End]; note != tt.data {
				t.Errorf("the note is %s, want %s", note, tt.data)
			}
		})
	}
}

func TestSOAPNoteAPIQuarantine(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"not JSON": "\x00 {", "no event": `{"note_id":"a1b2"}`, "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := request(body)
			e := soapNoteAPI(secret).Quarantine(r)
			check(t, e, &event.Event{
				ID:          "soapnoteapi-" + hash("https://soapnoteapi.com\x00"+body),
				Source:      "https://soapnoteapi.com",
				Type:        "com.soapnoteapi.other",
				Time:        "2026-03-19T15:30:00.412Z",
				Provider:    "soapnoteapi",
				Kind:        "note",
				Status:      "other",
				ReceivedAt:  r.ReceivedAt,
				Metadata:    []event.Param{{Name: "user_id", Values: []string{"1", "2"}}, {Name: "order_id", Values: []string{"3"}}},
				Body:        []byte(body),
				ContentType: "application/json; charset=utf-8",
				Proof: []event.Field{
					{Name: "X-SoapNoteAPI-Signature", Value: strings.Repeat("AB", 32)},
					{Name: "X-SoapNoteAPI-Timestamp", Value: nowText},
				},
				Query: r.Query,
			})
			eventtest.Validate(t, e.AppendStructured(nil))
		})
	}
}

func TestSOAPNoteAPIEventIDIsOfSourceAndBody(t *testing.T) {
	t.Parallel()
	id := func(source, body string) string {
		r := request(body)
		r.Source = source
		return soapNoteAPI(secret).Quarantine(r).ID
	}
	first := id("https://a.example", noteBody)
	if again := id("https://a.example", noteBody); again != first {
		t.Errorf("the same request is %s, then %s", first, again)
	}
	if id("https://b.example", noteBody) == first || id("https://a.example", noteBody+" ") == first {
		t.Error("another source or body has the same id")
	}
	if !strings.HasPrefix(first, "soapnoteapi-") || len(first) != len("soapnoteapi-")+32 {
		t.Errorf("the id is %s", first)
	}
}

// The note must be found byte for byte, whatever stands around it.
func TestSOAPNoteAPINoteIsByteForByte(t *testing.T) {
	t.Parallel()
	space := rapid.StringMatching(`[ \t\r\n]{0,3}`)
	values := rapid.SampledFrom([]string{
		`{}`, `{ }`, `{"a" : [1,{"b":null}] , "a":1.50e+3}`, `{"text":"\ud83d"}`, `{"text":"\"data\":{}"}`, `{"é":"😀\u0000\/"}`,
	})
	rapid.Check(t, func(t *rapid.T) {
		data := values.Draw(t, "data")
		members := []string{
			`"event"@:@"note.generated"`, `"note_id"@:@"a"`, `"status"@:@"s"`, `"created_at"@:@"c"`,
			`"data"@:@` + data, `"other"@:@` + values.Draw(t, "other"), `"Data"@:@{"no":0}`, `"x"@:@"data"`,
		}
		body := "@{@" + strings.Join(rapid.Permutation(members).Draw(t, "members"), "@,@") + "@}@"
		for strings.Contains(body, "@") {
			body = strings.Replace(body, "@", space.Draw(t, "space"), 1)
		}
		e, err := soapNoteAPI(secret).Event(request(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(e.Body[e.Note.Start:e.Note.End]); got != data {
			t.Errorf("the note of %s is %s, want %s", body, got, data)
		}
		if !strings.Contains(string(e.AppendData(nil)), `,"note":`+data+`,"metadata":`) {
			t.Errorf("the note %s is not in the data", data)
		}
	})
}
