package soapnoteapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

func answers(t *testing.T, status int, body string) (c Client, asked *string) {
	t.Helper()
	asked = new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = r.Method + " " + r.RequestURI
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	c, err := New(rest.Options{Base: server.URL, Key: func() string { return "key" }, Rate: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Close()
	})
	return c, asked
}

func TestDefaultBase(t *testing.T) {
	t.Parallel()
	if _, err := New(rest.Options{}); err != nil {
		t.Error(err)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status     int
		body, want string
		kind       rest.Kind
	}{
		"completed":     {200, `{"noteId":"note_1","status":"completed"}`, "completed", ""},
		"upper case":    {200, `{"status":"COMPLETED","new":{}}`, "completed", ""},
		"failed":        {200, `{"note_id":"note_1","status":"Failed"}`, "failed", ""},
		"another note":  {200, `{"noteId":"note_2","status":"completed"}`, "", rest.InvalidAnswer},
		"no status":     {200, `{"noteId":"note_1"}`, "", rest.InvalidAnswer},
		"not a word":    {200, `{"status":"John Doe"}`, "", rest.InvalidAnswer},
		"not an object": {200, `"completed"`, "", rest.InvalidAnswer},
		"not found":     {404, `{"error":{"code":"NOT_FOUND","message":"..."}}`, "", rest.Unknown},
		"wrong key":     {401, `{"error":{"code":"UNAUTHORIZED","message":"..."}}`, "", rest.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, asked := answers(t, tt.status, tt.body)
			got, err := c.Status(t.Context(), "note_1")
			if got != tt.want || rest.KindOf(err) != tt.kind || *asked != "GET /v1/audio/status/note_1" {
				t.Errorf("%q, %v, asked for %s", got, err, *asked)
			}
		})
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	const note = `{ "noteId" : "note_1","plan":"rest\u00e9","plan":"\ud83d","expires_at":"2026-03-20T15:30:00.000Z" }`
	for name, tt := range map[string]struct {
		status            int
		body, want, until string
		kind              rest.Kind
	}{
		"byte for byte": {200, "\n" + note + "\n", note, "2026-03-20T15:30:00.000Z", ""},
		"without id":    {200, `{"plan":"rest","expires_at":1}`, `{"plan":"rest","expires_at":1}`, "", ""},
		"another note":  {200, `{"noteId":"note_2"}`, "", "", rest.InvalidAnswer},
		"id is no text": {200, `{"noteId":2}`, "", "", rest.InvalidAnswer},
		"a list":        {200, `[]`, "", "", rest.InvalidAnswer},
		"not UTF-8":     {200, "{\"a\":\"\xff\"}", "", "", rest.InvalidAnswer},
		"cut off":       {200, note[:40], "", "", rest.InvalidAnswer},
		"two":           {200, note + note, "", "", rest.InvalidAnswer},
		"not found":     {404, `{"error":{"code":"NOT_FOUND"}}`, "", "", rest.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, asked := answers(t, tt.status, tt.body)
			got, err := c.Note(t.Context(), "note_1")
			if string(got.JSON) != tt.want || got.ExpiresAt != tt.until || rest.KindOf(err) != tt.kind || *asked != "GET /v1/note/note_1" {
				t.Errorf("%+v %s, %v, asked for %s", got, got.JSON, err, *asked)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	t.Parallel()
	c, asked := answers(t, 200, "{}")
	for _, id := range []string{"", ".", "..", "a/b", "a?b", "a b", strings.Repeat("a", 257)} {
		_, status := c.Status(t.Context(), id)
		_, note := c.Note(t.Context(), id)
		if rest.KindOf(status) != rest.Unknown || rest.KindOf(note) != rest.Unknown || *asked != "" {
			t.Errorf("%q: %v, %v, asked for %q", id, status, note, *asked)
		}
	}
}
