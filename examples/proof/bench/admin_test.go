package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// adminOf returns a gateway whose admin endpoint answers with these texts, by path: one after the
// other, and then always with the last one.
func adminOf(t *testing.T, answers map[string][]string) *gateway {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		texts, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if len(texts) > 1 {
			answers[r.URL.RequestURI()] = texts[1:]
		}
		fmt.Fprint(w, texts[0])
	}))
	t.Cleanup(server.Close)
	return &gateway{admin: server.Listener.Addr().String()}
}

func statusOf(pending, inFlight, dead int, isPaused bool) string {
	return fmt.Sprintf(`{"upstreams":[{"name":"ehr","pending":%d,"in_flight":%d,"dead":%d,"paused":%v}]}`, pending, inFlight, dead, isPaused)
}

func TestAwait(t *testing.T) {
	t.Parallel()
	g := adminOf(t, map[string][]string{"/scribegate/status": {statusOf(9, 3, 0, false), statusOf(5, 0, 0, false), statusOf(5, 0, 0, true)}})
	calls := 0
	err := g.await(t.Context(), func(u upstreamStatus) error {
		calls++
		return errors.Join(paused(u), waiting(5)(u))
	})
	if err != nil || calls != 3 {
		t.Errorf("await() = %v after %d calls, want 3", err, calls)
	}
}

func TestAwaitEnds(t *testing.T) {
	t.Parallel()
	g := adminOf(t, map[string][]string{"/scribegate/status": {statusOf(9, 3, 0, false)}})
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the time is over")
	err := g.await(ctx, func(u upstreamStatus) error {
		cancel(over)
		return paused(u)
	})
	if !errors.Is(err, over) {
		t.Errorf("await() = %v, want %v", err, over)
	}
	if err := (&gateway{admin: "127.0.0.1:1"}).await(t.Context(), paused); err == nil {
		t.Error("await() = nil without a gateway")
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	hanging := upstreamStatus{Name: "ehr", InFlight: usualConcurrency, Pending: 50}
	tests := map[string]struct {
		err  error
		good bool
	}{
		"paused":               {paused(upstreamStatus{Paused: true}), true},
		"not paused":           {paused(upstreamStatus{}), false},
		"as many wait":         {waiting(50)(hanging), true},
		"more wait":            {waiting(49)(hanging), false},
		"fewer wait":           {waiting(51)(hanging), false},
		"some are dead":        {waiting(50)(upstreamStatus{Pending: 50, Dead: 1}), false},
		"hangs":                {hangs(hanging), true},
		"hangs in part":        {hangs(upstreamStatus{InFlight: usualConcurrency - 1}), false},
		"hangs, and is paused": {hangs(upstreamStatus{InFlight: usualConcurrency, Paused: true}), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tt.err == nil) != tt.good {
				t.Errorf("the error is %v", tt.err)
			}
		})
	}
}

func TestAllocated(t *testing.T) {
	t.Parallel()
	const metrics = "# TYPE go_memstats_alloc_bytes_total counter\ngo_memstats_alloc_bytes 7\ngo_memstats_alloc_bytes_total 1.5e+06\n"
	got, err := adminOf(t, map[string][]string{"/metrics": {metrics}}).allocated(t.Context())
	if err != nil || got != 1_500_000 {
		t.Errorf("allocated() = %v, %v", got, err)
	}
	if _, err := adminOf(t, map[string][]string{"/metrics": {"go_memstats_alloc_bytes 7\n"}}).allocated(t.Context()); err == nil {
		t.Error("allocated() = nil without the metric")
	}
	if _, err := adminOf(t, nil).allocated(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("allocated() = %v, want the gateway's answer", err)
	}
}

func TestProfilesAreWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "profiles")
	g := adminOf(t, map[string][]string{
		"/debug/pprof/profile?seconds=3": {"of time"},
		"/debug/pprof/allocs":            {"of memory"},
	})
	if err := g.profile(t.Context(), dir, "accept", 3); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"accept.pprof": "of time", "accept.allocs.pprof": "of memory"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
		}
	}
}
