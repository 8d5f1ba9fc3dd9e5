package ledger

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A backend restarts at its address also while other processes start, which have a copy of its listener until they
// execute their programs. They would have copies of other tests' listeners too, so this test is not parallel.
//
//nolint:paralleltest // see above
func TestBackendRestarts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run()
			}
		})
	}
	defer starting.Wait()
	defer cancel()
	b, err := New().Add(t.Context(), "ehr")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		b.Stop()
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.Stop()
}

// deliverTo sends an event to a backend as a gateway would, and returns the status.
func deliverTo(ctx context.Context, t *testing.T, b *Backend, id string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/events", strings.NewReader("{}"))
	r.Header.Set("webhook-id", id)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Code
}

func TestBackendBehaviors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		behavior Behavior
		want     []int // the answers to one event, sent again and again
	}{
		"accepts all":           {Behavior{}, []int{204, 204}},
		"rejects the first two": {Behavior{RejectFirst: 2}, []int{409, 409, 204, 204}},
		"rejects with a status": {Behavior{RejectFirst: 1, Status: 500}, []int{500, 204}},
		"rejects all":           {Behavior{RejectAll: true, Status: 410}, []int{410, 410, 410}},
		"accepts after a delay": {Behavior{Delay: time.Millisecond}, []int{204}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := New()
			t.Cleanup(l.Close)
			b, err := l.Add(t.Context(), "ehr")
			if err != nil {
				t.Fatal(err)
			}
			b.Behave(tt.behavior)
			taken := 0
			for i, want := range tt.want {
				if got := deliverTo(t.Context(), t, b, "a"); got != want {
					t.Errorf("answer %d is %d, want %d", i+1, got, want)
				}
				if want == http.StatusNoContent {
					taken++
				}
			}
			if b.Deliveries() != taken || b.Events() != min(taken, 1) || b.Rejections() != len(tt.want)-taken || b.Has("a") != (taken > 0) {
				t.Errorf("%d deliveries, %d events, %d rejections, has %v", b.Deliveries(), b.Events(), b.Rejections(), b.Has("a"))
			}
		})
	}
}

func TestBackendRestartsAtItsAddress(t *testing.T) {
	t.Parallel()
	l := New()
	t.Cleanup(l.Close)
	b, err := l.Add(t.Context(), "ehr")
	if err != nil {
		t.Fatal(err)
	}
	url := b.URL()
	for _, running := range []bool{true, false, true} {
		if running && b.server == nil {
			if err := b.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if !running {
			b.Stop()
			b.Stop() // a second time changes nothing
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			resp.Body.Close()
		}
		if (err == nil) != running {
			t.Errorf("running: %v; sending to it: %v", running, err)
		}
	}
}
