package verifier_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

const (
	bearer            = "Bearer MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	transcriptionBody = `{"id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"completed"}`
)

func soniox(values ...string) verifier.Soniox {
	return verifier.Soniox{Header: "Authorization", Values: list(values...)}
}

func TestSonioxProof(t *testing.T) {
	t.Parallel()
	both := []string{"Bearer other", bearer}
	tests := []struct {
		name   string
		header http.Header
		values []string
		want   verifier.Reason
		index  int
	}{
		{"first value", header("Authorization", bearer), []string{bearer, "Bearer other"}, "accepted", 0},
		{"second value", header("Authorization", bearer), both, "accepted", 1},
		{"behind an empty value", header("Authorization", bearer), []string{"", bearer}, "accepted", 1},
		{"before an empty value", header("Authorization", bearer), []string{bearer, ""}, "accepted", 0},
		{"the same value twice", header("Authorization", bearer), []string{bearer, bearer}, "accepted", 0},
		{"name in lower case", header("authorization", bearer), both, "accepted", 1},

		{"no header", http.Header{}, both, verifier.AuthMissing, -1},
		{"nil header", nil, both, verifier.AuthMissing, -1},
		{"another header", header("X-Api-Key", bearer), both, verifier.AuthMissing, -1},
		{"empty header", header("Authorization", ""), both, verifier.AuthMissing, -1},
		{"header without values", http.Header{"Authorization": {}}, both, verifier.AuthMissing, -1},
		{"empty header, empty value", header("Authorization", ""), []string{""}, verifier.AuthMissing, -1},

		{"repeated", header("Authorization", bearer, "Authorization", bearer), both, verifier.HeaderRepeated, -1},
		{"repeated, wrong", header("Authorization", "a", "Authorization", "b"), both, verifier.HeaderRepeated, -1},
		{"repeated, empty", header("Authorization", bearer, "Authorization", ""), both, verifier.HeaderRepeated, -1},
		{"repeated in two spellings", header("Authorization", bearer, "AUTHORIZATION", bearer), both, verifier.HeaderRepeated, -1},

		{"wrong", header("Authorization", "Bearer wrong"), both, verifier.AuthMismatch, -1},
		{"a part", header("Authorization", bearer[:len(bearer)-1]), both, verifier.AuthMismatch, -1},
		{"a byte more", header("Authorization", bearer+"x"), both, verifier.AuthMismatch, -1},
		{"a space behind", header("Authorization", bearer+" "), both, verifier.AuthMismatch, -1},
		{"scheme alone", header("Authorization", "Bearer "), both, verifier.AuthMismatch, -1},
		{"scheme in lower case", header("Authorization", strings.ToLower(bearer)), both, verifier.AuthMismatch, -1},
		{"without the scheme", header("Authorization", strings.TrimPrefix(bearer, "Bearer ")), both, verifier.AuthMismatch, -1},
		{"two values in one", header("Authorization", bearer+", "+bearer), both, verifier.AuthMismatch, -1},
		{"all values in one", header("Authorization", strings.Join(both, "")), both, verifier.AuthMismatch, -1},
		{"very long", header("Authorization", strings.Repeat(bearer, 1000)), both, verifier.AuthMismatch, -1},
		{"no values", header("Authorization", bearer), nil, verifier.AuthMismatch, -1},
		{"only empty values", header("Authorization", " "), []string{"", ""}, verifier.AuthMismatch, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i, err := verify(soniox(tt.values...), tt.header, "whatever the body is")
			if got := reason(t, err); got != tt.want || i != tt.index {
				t.Errorf("%q with value %d, want %q with %d", got, i, tt.want, tt.index)
			}
		})
	}
}

func TestSonioxFailsClosed(t *testing.T) {
	t.Parallel()
	if _, err := verify(verifier.Soniox{Header: "Authorization"}, header("Authorization", bearer), ""); reason(t, err) != verifier.AuthMismatch {
		t.Errorf("without a list of values a request is judged %v", err)
	}
	if _, err := verify(verifier.Soniox{Values: list(bearer)}, header("Authorization", bearer), ""); reason(t, err) != verifier.AuthMissing {
		t.Errorf("without the name of a header a request is judged %v", err)
	}
}

func TestSonioxDefaults(t *testing.T) {
	t.Parallel()
	want := verifier.Defaults{Source: "https://soniox.com", MaxBody: 65536}
	if got := soniox().Defaults(); got != want {
		t.Errorf("defaults are %+v, want %+v", got, want)
	}
}

func TestSonioxEvent(t *testing.T) {
	t.Parallel()
	const body = ` {"id":"73d4357d-cad2-4338-a60d-ec6f2044f721","status":"error","data":{"a":1}}` + "\n"
	r := request(body)
	r.Source = "https://soniox.com"
	r.Header.Set("Authorization", bearer)
	e, err := soniox(bearer).Event(r)
	if err != nil {
		t.Fatal(err)
	}
	check(t, e, &event.Event{
		ID:          "soniox-" + hash("https://soniox.com\x0073d4357d-cad2-4338-a60d-ec6f2044f721\x00error"),
		Source:      "https://soniox.com",
		Type:        "com.soniox.transcription.error",
		Subject:     "73d4357d-cad2-4338-a60d-ec6f2044f721",
		Time:        "2026-03-19T15:30:00.412Z",
		Provider:    "soniox",
		Kind:        "transcription",
		ObjectID:    "73d4357d-cad2-4338-a60d-ec6f2044f721",
		Status:      "failed",
		ReceivedAt:  r.ReceivedAt,
		Metadata:    []event.Param{{Name: "user_id", Values: []string{"1", "2"}}, {Name: "order_id", Values: []string{"3"}}},
		WithRaw:     true,
		Body:        []byte(body),
		ContentType: "application/json; charset=utf-8",
		Proof:       []event.Field{{Name: "Authorization"}},
		Query:       r.Query,
	})
	eventtest.Validate(t, e.AppendStructured(nil))

	r.Body = []byte(transcriptionBody)
	completed, err := soniox(bearer).Event(r)
	if err != nil {
		t.Fatal(err)
	}
	if completed.Type != "com.soniox.transcription.completed" || completed.Status != "completed" || completed.ID == e.ID {
		t.Errorf("completed is %s %s %s", completed.Type, completed.Status, completed.ID)
	}
	eventtest.Validate(t, completed.AppendStructured(nil))
}

// A retry says the same, whatever else the provider puts into it.
func TestSonioxEventIDIsOfIDAndStatus(t *testing.T) {
	t.Parallel()
	id := func(source, body string) string {
		r := request(body)
		r.Source = source
		e, err := soniox().Event(r)
		if err != nil {
			t.Fatal(err)
		}
		return e.ID
	}
	first := id("https://soniox.com", `{"id":"a","status":"completed"}`)
	if again := id("https://soniox.com", `{ "try":2, "status":"completed", "id":"\u0061" }`); again != first {
		t.Errorf("a retry is %s, want %s", again, first)
	}
	for name, other := range map[string]string{
		"status": id("https://soniox.com", `{"id":"a","status":"error"}`),
		"id":     id("https://soniox.com", `{"id":"b","status":"completed"}`),
		"source": id("https://eu.soniox.com", `{"id":"a","status":"completed"}`),
	} {
		if other == first {
			t.Errorf("another %s has the same id", name)
		}
	}
}

func TestSonioxNeedsNoQuarantine(t *testing.T) {
	t.Parallel()
	if e := soniox().Quarantine(request("{")); e != nil {
		t.Errorf("Quarantine = %+v, want nil", e)
	}
}

func TestSonioxPayloadInvalid(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, body, want string }{
		{"no id", `{"status":"completed"}`, "id is missing"},
		{"id in upper case", `{"ID":"a","status":"completed"}`, "id is missing"},
		{"empty id", `{"id":"","status":"completed"}`, "id is empty"},
		{"id null", `{"id":null,"status":"completed"}`, "id is not a string"},
		{"id a number", `{"id":1,"status":"completed"}`, "id is not a string"},
		{"id with a slash", `{"id":"../a","status":"completed"}`, "id is not 1 to 128 letters, digits, underscores and hyphens"},
		{"id with a dot", `{"id":"a.b","status":"completed"}`, "id is not 1 to 128 letters, digits, underscores and hyphens"},
		{"id with a line break", `{"id":"a\n","status":"completed"}`, "id is not 1 to 128 letters, digits, underscores and hyphens"},
		{"id with an accent", `{"id":"é","status":"completed"}`, "id is not 1 to 128 letters, digits, underscores and hyphens"},
		{"id too long", `{"id":"` + strings.Repeat("a", 129) + `","status":"completed"}`, "id is not 1 to 128 letters, digits, underscores and hyphens"},
		{"id with half a pair", `{"id":"\ud83d","status":"completed"}`, "id is not valid Unicode"},
		{"id twice", `{"id":"a","id":"b","status":"completed"}`, "a member's name is repeated"},
		{"no status", `{"id":"a"}`, "status is missing"},
		{"another status", `{"id":"a","status":"queued"}`, "status is neither completed nor error"},
		{"status in upper case", `{"id":"a","status":"Completed"}`, "status is neither completed nor error"},
		{"status an object", `{"id":"a","status":{}}`, "status is not a string"},
		{"trailing data", `{"id":"a","status":"completed"}{}`, "data after the object"},
		{"a list", `[{"id":"a","status":"completed"}]`, "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e, err := soniox().Event(request(tt.body))
			checkInvalid(t, e, err, tt.want)
		})
	}
}

func TestSonioxPayloadValid(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"longest id":       `{"id":"` + strings.Repeat("a", 128) + `","status":"completed"}`,
		"all kinds of id":  `{"id":"azAZ09_-","status":"error"}`,
		"escaped names":    `{"\u0069d":"a","st\u0061tus":"err\u006fr"}`,
		"other members":    `{"id":"a","ID":7,"status":"completed","text":"\ud83d","more":{"a":1,"a":2}}`,
		"white space":      "\r\n\t {\"id\" : \"a\" ,\n\"status\":\"completed\"} \r\n",
		"an id in an id":   `{"more":{"id":"b"},"id":"a","status":"completed"}`,
		"members reversed": `{"status":"completed","id":"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := soniox().Event(request(body))
			if err != nil {
				t.Fatal(err)
			}
			eventtest.Validate(t, e.AppendStructured(nil))
		})
	}
}

func FuzzSonioxPayload(f *testing.F) {
	f.Add([]byte(transcriptionBody))
	f.Add([]byte(`{"id":"a","status":"error","id":"b"}`))
	f.Add([]byte(`{"id":"\ud83d","status":"error"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := request(string(body))
		e, err := soniox().Event(r)
		if err != nil {
			checkInvalid(t, e, err, "")
			return
		}
		var want struct {
			ID     string `json:"id"`
			Status string `json:"status"`
		}
		if !utf8.Valid(body) || decodeExact(body, &want) != nil {
			t.Fatalf("taken, but encoding/json refuses %q", body)
		}
		if e.ObjectID != want.ID || e.ShortType() != "transcription."+want.Status {
			t.Errorf("read %q %q of %q", e.ObjectID, e.ShortType(), body)
		}
		doc := e.AppendStructured(nil)
		if !json.Valid(doc) || !strings.HasSuffix(string(doc), `,"raw":`+string(body)+"}}") {
			t.Errorf("rendered as %s", doc)
		}
		eventtest.Validate(t, doc)
	})
}
