package adminapi

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

func TestWantsLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method, path, accept string
		want                 bool
	}{
		{"POST", "replay", "application/x-ndjson", true},
		{"POST", "purge", "application/json, Application/X-NDJSON; q=0.9", true},
		{"POST", "compact", "", false},
		{"POST", "compact", "*/*", false},
		{"POST", "replay", "application/json", false},
		{"POST", "replay", ";;", false},
		{"GET", "status", "application/x-ndjson", false},
	} {
		r := httptest.NewRequest(tt.method, admin.Prefix+tt.path, nil)
		r.Header.Set("Accept", tt.accept)
		rt, err := new(API).find(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := rt.wantsLines(r); got != tt.want {
			t.Errorf("%s %s, Accept: %s: %v", tt.method, tt.path, tt.accept, got)
		}
	}
}

// A slowReader is a client that takes nothing.
type slowReader struct {
	*httptest.ResponseRecorder
	writes    int
	deadlines []time.Time
}

func (s *slowReader) Write([]byte) (int, error) {
	s.writes++
	return 0, os.ErrDeadlineExceeded
}

func (s *slowReader) SetWriteDeadline(at time.Time) error {
	s.deadlines = append(s.deadlines, at)
	return nil
}

// A client that does not read is waited for once, and for a bounded time. The
// connection of one that does is as it was afterwards.
func TestProgressToSlowReader(t *testing.T) {
	t.Parallel()
	w := &slowReader{ResponseRecorder: httptest.NewRecorder()}
	lines := newProgressLines(w)
	for range 3 {
		lines.last = time.Time{} // as if the last line had been long ago
		lines.report(1, 2)
	}
	lines.write([]byte("{}\n"))
	lines.close()
	if w.writes != 1 || len(w.deadlines) != 2 || w.deadlines[0].IsZero() || time.Until(w.deadlines[0]) > progressTimeout || !w.deadlines[1].IsZero() {
		t.Errorf("%d writes, with the deadlines %v; want one that is bounded, and no bound at the end", w.writes, w.deadlines)
	}
}

// However often the work tells, a client hears of it a few times a second.
func TestProgressIsSparse(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	lines := newProgressLines(w)
	for i := range int64(1000) {
		lines.last = time.Now() // a line has just been sent
		lines.report(i, 1000)
	}
	lines.last = time.Now().Add(-progressEvery)
	lines.report(7, 1000)
	var line admin.ProgressLine
	if err := json.Unmarshal(w.Body.Bytes(), &line); err != nil || line.Progress != (admin.Progress{Done: 7, Total: 1000}) {
		t.Errorf("sent %q, %v", w.Body, err)
	}
}
