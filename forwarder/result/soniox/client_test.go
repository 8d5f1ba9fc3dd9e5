package soniox

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

const id = "73d4357d-cad2-4338-a60d-ec6f2044f721"

// newClient returns a client of a handler.
func newClient(t *testing.T, h http.HandlerFunc) Client {
	t.Helper()
	server := httptest.NewServer(h)
	c, err := New(rest.Options{Base: server.URL, Key: func() string { return "key" }, Rate: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c
}

// answers returns a client of an API that answers every request with a body.
func answers(t *testing.T, body string) Client {
	t.Helper()
	return newClient(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

func TestDefaultBase(t *testing.T) {
	t.Parallel()
	if _, err := New(rest.Options{}); err != nil {
		t.Error(err)
	}
}

func TestTranscription(t *testing.T) {
	t.Parallel()
	full := `{"id":"` + id + `","status":"error","created_at":"2026-03-19T15:30:00.123456Z","model":"stt-async-\u0076x",
		"filename":"Doe.wav","audio_url":null,"file_id":"f-1","language_hints":["en"],"audio_duration_ms": 12000,
		"error_type":"audio_decode_error", "error_message" : "ca\u006e not" ,"webhook_url":"https://h.example/s?a=1",
		"webhook_status_code":503,"client_reference_id":"visit-7","context":{"a":[1]},"new":{"status":"queued"}}`
	got, err := answers(t, full).Transcription(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := Transcription{
		ID: id, Status: Failed, CreatedAt: time.Date(2026, 3, 19, 15, 30, 0, 123456000, time.UTC), ErrorType: "audio_decode_error",
		FileID: "f-1", FileListed: true, WebhookURL: "https://h.example/s?a=1", WebhookStatus: 503,
		Members: []byte(`"created_at":"2026-03-19T15:30:00.123456Z","model":"stt-async-\u0076x","audio_duration_ms":12000,` +
			`"error_type":"audio_decode_error","error_message":"ca\u006e not","client_reference_id":"visit-7"`),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v %s\nwant %+v %s", got, got.Members, want, want.Members)
	}

	sparse := `{"id":"` + id + `","status":"completed","created_at":"2026-03-19T15:30:00Z","model":null,"audio_duration_ms":null,"client_reference_id":7,"error_message":{"a":[]},"file_id":null,"webhook_url":null,"webhook_status_code":null}`
	got, err = answers(t, sparse).Transcription(t.Context(), id)
	want = Transcription{ID: id, Status: Completed, CreatedAt: time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC), FileListed: true, Members: []byte(`"created_at":"2026-03-19T15:30:00Z"`)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %s, %v", got, got.Members, err)
	}
	if !got.Finished() || (&Transcription{Status: "processing"}).Finished() {
		t.Error("Finished is wrong")
	}
}

// What is needed must be there, in the documented type, and about the id in question.
func TestTranscriptionRejects(t *testing.T) {
	t.Parallel()
	valid := `{"id":"` + id + `","status":"completed","created_at":"2026-03-19T15:30:00Z","webhook_url":"u"}`
	replace := func(old, with string) string {
		if !strings.Contains(valid, old) {
			panic(old)
		}
		return strings.Replace(valid, old, with, 1)
	}
	for name, tt := range map[string]struct {
		body string
		kind rest.Kind
	}{
		"valid":              {valid, ""},
		"another id":         {replace(id, "73d4357d-cad2-4338-a60d-ec6f2044f722"), rest.InvalidAnswer},
		"other letters":      {replace(id, strings.ToUpper(id)), rest.Unknown},
		"no id":              {replace(`"id"`, `"it"`), ""},
		"id is a number":     {replace(`"`+id+`"`, "1"), ""},
		"no status":          {replace(`"status"`, `"state"`), rest.InvalidAnswer},
		"status is null":     {replace(`"completed"`, "null"), rest.InvalidAnswer},
		"no time":            {replace(`"created_at"`, `"at"`), ""},
		"not a time":         {replace("2026-03-19T", "yesterday"), ""},
		"URL is an object":   {replace(`"u"`, "{}"), ""},
		"status twice":       {replace(`"webhook_url":"u"`, `"status":"error"`), rest.InvalidAnswer},
		"two documents":      {valid + valid, rest.InvalidAnswer},
		"cut off":            {valid[:len(valid)-1], rest.InvalidAnswer},
		"file of a bad form": {replace(`"webhook_url":"u"`, `"file_id":"../x"`), ""},
		"model is an object": {replace(`"webhook_url":"u"`, `"model":{}`), ""},
		"too large":          {`{"a":"` + strings.Repeat("x", maxSmall) + `"}`, rest.InvalidAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := answers(t, tt.body).Transcription(t.Context(), id); rest.KindOf(err) != tt.kind {
				t.Errorf("error = %v, want kind %q", err, tt.kind)
			}
		})
	}
}

func TestTranscript(t *testing.T) {
	t.Parallel()
	const text = `"He said \"\u00e4\ud83d\" "`
	const tokens = `[ {"text":"He", "start_ms":0,"confidence":0.990}, {"text":"\ud83d","new":{}} ]`
	for name, tt := range map[string]struct {
		body, with, without string
	}{
		"as documented": {
			`{"id":"` + id + `","text":` + text + `,"tokens":` + tokens + `}`,
			`{"text":` + text + `,"tokens":` + tokens + `}`, `{"text":` + text + `}`,
		},
		"another order, members that are new": {
			` { "tokens" : ` + tokens + ` , "new":[{}], "text" : ` + text + `, "id":"` + id + `" } `,
			`{"tokens":` + tokens + `,"text":` + text + `}`, `{"text":` + text + `}`,
		},
		"empty": {`{"id":"` + id + `","text":"","tokens":[]}`, `{"text":"","tokens":[]}`, `{"text":""}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for wanted, want := range map[bool]string{true: tt.with, false: tt.without} {
				got, err := answers(t, tt.body).AppendTranscript(t.Context(), []byte("before "), TranscriptRequest{ID: id, Tokens: wanted})
				if err != nil || string(got) != "before "+want {
					t.Errorf("tokens %v: %s, %v", wanted, got, err)
				}
			}
		})
	}
}

func TestTranscriptRejects(t *testing.T) {
	t.Parallel()
	valid := `{"id":"` + id + `","text":"t","tokens":[]}`
	for name, tt := range map[string]struct {
		body   string
		tokens bool
		kind   rest.Kind
	}{
		"valid":                    {valid, true, ""},
		"no tokens where unwanted": {`{"id":"` + id + `","text":"t"}`, false, ""},
		"no tokens":                {`{"id":"` + id + `","text":"t"}`, true, ""},
		"no text":                  {`{"id":"` + id + `","tokens":[]}`, true, rest.InvalidAnswer},
		"no id":                    {`{"text":"t","tokens":[]}`, true, ""},
		"another id":               {strings.Replace(valid, id, "x", 1), true, rest.InvalidAnswer},
		"text is null":             {strings.Replace(valid, `"t"`, "null", 1), true, rest.InvalidAnswer},
		"tokens are null":          {strings.Replace(valid, "[]", "null", 1), true, ""},
		"text twice":               {strings.Replace(valid, `"tokens":[]`, `"text":"u"`, 1), false, rest.InvalidAnswer},
		"broken tokens":            {strings.Replace(valid, "[]", "[}", 1), true, rest.InvalidAnswer},
		"broken tokens, unwanted":  {strings.Replace(valid, "[]", "[}", 1), false, rest.InvalidAnswer},
		"not UTF-8":                {strings.Replace(valid, `"t"`, "\"\xff\"", 1), true, rest.InvalidAnswer},
		"cut off":                  {valid[:len(valid)-1], true, rest.InvalidAnswer},
		"data behind":              {valid + "x", true, rest.InvalidAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := answers(t, tt.body).AppendTranscript(t.Context(), []byte("before"), TranscriptRequest{ID: id, Tokens: tt.tokens})
			if rest.KindOf(err) != tt.kind {
				t.Errorf("error = %v, want kind %q", err, tt.kind)
			}
			if err != nil && string(got) != "before" {
				t.Errorf("an error, and %q", got)
			}
		})
	}
}

// largeTranscript writes a transcript of about 10 MB and returns its tokens.
func largeTranscript() (body, tokens string) {
	var b strings.Builder
	b.WriteByte('[')
	for i := range 85_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"text":" word","start_ms":%d,"end_ms":%d,"confidence":0.99,"speaker":"1","language":"en","is_audio_event":false}`, 10_000_000+i, 10_000_001+i)
	}
	b.WriteByte(']')
	return `{"id":"` + id + `","text":"t","tokens":` + b.String() + `}`, b.String()
}

// allocated returns how many bytes f allocates in all.
func allocated(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// A transcript of 10 MB costs about its size, and next to nothing where
// its tokens are not wanted. It is not parallel, since it measures.
func TestTranscriptMemory(t *testing.T) {
	body, tokens := largeTranscript()
	if len(body) < 10<<20 {
		t.Fatalf("%d bytes", len(body))
	}
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body)
	})
	waits := 0
	for wanted, most := range map[bool]int64{true: 3 * int64(len(body)), false: 1 << 20} {
		r := TranscriptRequest{ID: id, Tokens: wanted, Large: func(context.Context) error { waits++; return nil }}
		var got []byte
		var err error
		used := allocated(func() { got, err = c.AppendTranscript(t.Context(), nil, r) })
		if err != nil {
			t.Fatal(err)
		}
		want := `{"text":"t","tokens":` + tokens + `}`
		if !wanted {
			want = `{"text":"t"}`
		}
		if string(got) != want {
			t.Errorf("tokens %v: another transcript", wanted)
		}
		t.Logf("tokens %v: %d KiB allocated, %d KiB kept", wanted, used>>10, cap(got)>>10)
		if used > most {
			t.Errorf("tokens %v: %d bytes allocated for %d", wanted, used, len(body))
		}
	}
	if waits != 2 {
		t.Errorf("Large was called %d times", waits)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var requests []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.RequestURI)
		if r.FormValue("cursor") == "" {
			_, _ = io.WriteString(w, `{"next_page_cursor":"a b&c","transcriptions":[
				{"id":"t1","status":"queued","created_at":"2026-03-19T15:30:00Z","context":{"x":[1,2]}},
				{"id":"t2","status":"completed","created_at":"2026-03-19T15:31:00+01:00","webhook_status_code":200}]}`)
			return
		}
		_, _ = io.WriteString(w, `{"transcriptions":[],"next_page_cursor":null}`)
	})
	page, next, err := c.List(t.Context(), "")
	if err != nil || next != "a b&c" || len(page) != 2 || page[0].ID != "t1" || page[1].ID != "t2" || page[1].WebhookStatus != 200 {
		t.Fatalf("%+v, next %q, %v", page, next, err)
	}
	page, next, err = c.List(t.Context(), next)
	if err != nil || next != "" || len(page) != 0 {
		t.Fatalf("%+v, next %q, %v", page, next, err)
	}
	want := []string{"/v1/transcriptions?limit=1000", "/v1/transcriptions?cursor=a+b%26c&limit=1000"}
	if !reflect.DeepEqual(requests, want) {
		t.Errorf("requests = %q", requests)
	}
	for name, body := range map[string]string{
		"no list": `{"next_page_cursor":null}`, "not a list": `{"transcriptions":{}}`,
		"cut off":            `{"transcriptions":[`,
		"cursor is a number": `{"transcriptions":[],"next_page_cursor":1}`,
	} {
		if _, _, err := answers(t, body).List(t.Context(), ""); rest.KindOf(err) != rest.InvalidAnswer {
			t.Errorf("%s: %v", name, err)
		}
	}

	// Entries that nothing can be done with spoil no others.
	odd := `{"transcriptions":[1,null,{},{"id":"a b","status":"completed"},{"id":"t1","status":null},{"id":7,"status":"completed"},
		{"id":"t2","status":"completed","status":"error"},
		{"id":"t3","status":"completed","webhook_status_code":"503","webhook_url":5,"file_id":{},"created_at":1}]}`
	page, _, err = answers(t, odd).List(t.Context(), "")
	if err != nil || len(page) != 1 || page[0].ID != "t3" || page[0].WebhookStatus != 503 || page[0].WebhookURL != "" || page[0].FileID != "" {
		t.Errorf("%+v, %v", page, err)
	}
}

func TestDeleteAndCount(t *testing.T) {
	t.Parallel()
	var requests []string
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.RequestURI)
		switch {
		case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "gone"):
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "busy"):
			w.WriteHeader(http.StatusConflict)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case strings.Contains(r.URL.Path, "files"):
			_, _ = io.WriteString(w, `{"playground":1,"public_api":2,"total":3}`)
		default:
			_, _ = io.WriteString(w, `{"playground":0,"public_api":1600,"total":1600,"new":1}`)
		}
	})
	if err := c.DeleteTranscription(t.Context(), "t1"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteFile(t.Context(), "f1"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteTranscription(t.Context(), "gone"); rest.KindOf(err) != rest.Unknown {
		t.Error(err)
	}
	if err := c.DeleteTranscription(t.Context(), "busy"); rest.KindOf(err) != rest.NotReady {
		t.Error(err)
	}
	if n, err := c.Count(t.Context()); err != nil || n != (Counts{Transcriptions: 1600, Files: 3}) {
		t.Errorf("%+v, %v", n, err)
	}
	want := []string{
		"DELETE /v1/transcriptions/t1", "DELETE /v1/files/f1", "DELETE /v1/transcriptions/gone", "DELETE /v1/transcriptions/busy",
		"GET /v1/transcriptions/count", "GET /v1/files/count",
	}
	if !reflect.DeepEqual(requests, want) {
		t.Errorf("requests = %q", requests)
	}
	if _, err := answers(t, `{"totals":1}`).Count(t.Context()); rest.KindOf(err) != rest.InvalidAnswer {
		t.Error(err)
	}
}

// An id names a transcription or a file, and no other endpoint.
func TestIDs(t *testing.T) {
	t.Parallel()
	asked := false
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		w.WriteHeader(http.StatusNoContent)
	})
	for _, id := range []string{"", ".", "..", "count", "COUNT", "a/b", "a.b", "a?b", "ä", strings.Repeat("a", 129)} {
		_, got := c.Transcription(t.Context(), id)
		_, transcript := c.AppendTranscript(t.Context(), nil, TranscriptRequest{ID: id})
		for _, err := range []error{got, transcript, c.DeleteTranscription(t.Context(), id), c.DeleteFile(t.Context(), id)} {
			if rest.KindOf(err) != rest.Unknown || asked {
				t.Errorf("%q: %v, asked: %v", id, err, asked)
			}
		}
	}
}
