package gateway

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
func adminOf(t *testing.T, answers map[string][]string) *Gateway {
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
	return &Gateway{admin: server.Listener.Addr().String()}
}

func statusOf(pending, inFlight, dead int, isPaused bool) string {
	return fmt.Sprintf(`{"upstreams":[{"name":"ehr","pending":%d,"in_flight":%d,"dead":%d,"paused":%v}]}`, pending, inFlight, dead, isPaused)
}

func TestAwait(t *testing.T) {
	t.Parallel()
	g := adminOf(t, map[string][]string{"/scribegate/status": {statusOf(9, 3, 0, false), statusOf(5, 0, 0, false), statusOf(5, 0, 0, true)}})
	calls := 0
	err := g.Await(t.Context(), func(u UpstreamStatus) error {
		calls++
		return errors.Join(Paused(u), Waiting(5)(u))
	})
	if err != nil || calls != 3 {
		t.Errorf("Await() = %v after %d calls, want 3", err, calls)
	}
}

func TestAwaitEnds(t *testing.T) {
	t.Parallel()
	g := adminOf(t, map[string][]string{"/scribegate/status": {statusOf(9, 3, 0, false)}})
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the time is over")
	err := g.Await(ctx, func(u UpstreamStatus) error {
		cancel(over)
		return Paused(u)
	})
	if !errors.Is(err, over) {
		t.Errorf("Await() = %v, want %v", err, over)
	}
	if err := (&Gateway{admin: "127.0.0.1:1"}).Await(t.Context(), Paused); err == nil {
		t.Error("Await() = nil without a gateway")
	}
}

func TestStates(t *testing.T) {
	t.Parallel()
	hanging := UpstreamStatus{Name: "ehr", InFlight: usualConcurrency, Pending: 50}
	tests := map[string]struct {
		err  error
		good bool
	}{
		"paused":               {Paused(UpstreamStatus{Paused: true}), true},
		"not paused":           {Paused(UpstreamStatus{}), false},
		"as many wait":         {Waiting(50)(hanging), true},
		"more wait":            {Waiting(49)(hanging), false},
		"fewer wait":           {Waiting(51)(hanging), false},
		"some are dead":        {Waiting(50)(UpstreamStatus{Pending: 50, Dead: 1}), false},
		"hangs":                {Hangs(hanging), true},
		"hangs in part":        {Hangs(UpstreamStatus{InFlight: usualConcurrency - 1}), false},
		"hangs, and is paused": {Hangs(UpstreamStatus{InFlight: usualConcurrency, Paused: true}), false},
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
	got, err := adminOf(t, map[string][]string{"/metrics": {metrics}}).Allocated(t.Context())
	if err != nil || got != 1_500_000 {
		t.Errorf("Allocated() = %v, %v", got, err)
	}
	if _, err := adminOf(t, map[string][]string{"/metrics": {"go_memstats_alloc_bytes 7\n"}}).Allocated(t.Context()); err == nil {
		t.Error("Allocated() = nil without the metric")
	}
	if _, err := adminOf(t, nil).Allocated(t.Context()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("Allocated() = %v, want the gateway's answer", err)
	}
}

func TestProfilesAreWritten(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "profiles")
	g := adminOf(t, map[string][]string{
		"/debug/pprof/profile?seconds=3": {"of time"},
		"/debug/pprof/allocs":            {"of memory"},
	})
	if err := g.Profile(t.Context(), dir, "accept", 3); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"accept.pprof": "of time", "accept.allocs.pprof": "of memory"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", file, got, err, want)
		}
	}
}
