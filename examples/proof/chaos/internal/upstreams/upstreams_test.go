package upstreams

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
)

func TestWrong(t *testing.T) {
	t.Parallel()
	const n = 10
	tests := []struct {
		name   string
		state  eventState
		pause  pauseState
		now    gateway.UpstreamStatus
		paused bool // whether it was ever paused
		wrong  bool
	}{
		{"all delivered", wantDelivered, neverPaused, gateway.UpstreamStatus{}, false, false},
		{"one is pending", wantDelivered, neverPaused, gateway.UpstreamStatus{Pending: 1}, false, true},
		{"one is dead", wantDelivered, neverPaused, gateway.UpstreamStatus{Dead: 1}, false, true},
		{"delivered, with a pause", wantDelivered, neverPaused, gateway.UpstreamStatus{}, true, true},
		{"delivered, with an allowed pause", wantDelivered, sometimesPaused, gateway.UpstreamStatus{}, true, false},
		{"all pending", wantPending, wantPaused, gateway.UpstreamStatus{Pending: n, Paused: true}, true, false},
		{"all pending, but not paused", wantPending, wantPaused, gateway.UpstreamStatus{Pending: n}, false, true},
		{"one was used up by an outage", wantPending, wantPaused, gateway.UpstreamStatus{Pending: n - 1, Dead: 1, Paused: true}, true, true},
		{"some are dead", wantFailing, wantPaused, gateway.UpstreamStatus{Pending: n - 2, Dead: 2, Paused: true}, true, false},
		{"one was delivered to a failing upstream", wantFailing, wantPaused, gateway.UpstreamStatus{Pending: n - 1, Paused: true}, true, true},
		{"all are dead", wantDead, neverPaused, gateway.UpstreamStatus{Dead: n}, false, false},
		{"one is not dead yet", wantDead, neverPaused, gateway.UpstreamStatus{Dead: n - 1, Pending: 1}, false, true},
		{"one is dead of one", wantOneDead, neverPaused, gateway.UpstreamStatus{Dead: 1}, false, false},
		{"two are dead of one", wantOneDead, neverPaused, gateway.UpstreamStatus{Dead: 2}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := badKind{state: tt.state, pause: tt.pause}.wrong(tt.now, n, tt.paused)
			if (err != nil) != tt.wrong {
				t.Errorf("wrong() = %v, want an error: %v", err, tt.wrong)
			}
		})
	}
}

// A lag that has grown is reported, and noise is not.
func TestLagRatio(t *testing.T) {
	t.Parallel()
	ms := func(n ...int) (out []time.Duration) {
		for _, v := range n {
			out = append(out, time.Duration(v)*time.Millisecond)
		}
		return out
	}
	tests := []struct {
		name        string
		now, before []time.Duration
		wrong       bool
	}{
		{"the same", ms(3, 2, 1), ms(1, 2, 3), false},
		{"one is late", ms(1, 2, 900), ms(1, 2, 3), false},
		{"many times as long, but short", ms(4, 5, 6), ms(1, 1, 1), false},
		{"longer, as on a busy machine", ms(50, 50, 50), ms(20, 20, 20), false},
		{"many times as long", ms(50, 50, 50), ms(2, 2, 2), true},
		{"nothing was measured", nil, ms(2, 2, 2), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := compareLags(tt.now, tt.before).wrong(); (err != nil) != tt.wrong {
				t.Errorf("wrong() = %v, want an error: %v", err, tt.wrong)
			}
		})
	}
}

// Each bad upstream has the fault in its name.
func TestBadKinds(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"refuses": "connection refused", "resets": "connection reset", "hangs before its answer": "context deadline exceeded",
		"hangs in the answer's body": "200", "streams without end": "200", "closes in the answer's header": "broken",
		"closes in the answer's body": "200", "answers slowly": "200", "redirects": "307", "is not in DNS": "scribegate.invalid",
		"429, a date past": "429", "429, a date far ahead": "429", "flaps": "200", "400 to one event": "400",
	}
	for _, kind := range badKinds {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			u, err := kind.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer u.close()
			got := answerOf(t, u.url)
			if kind.name == "is not in DNS" && strings.Contains(got, "context deadline exceeded") {
				return // the resolver did not answer in time
			}
			if want[kind.name] == "" || !strings.Contains(got, want[kind.name]) {
				t.Errorf("the client got %q, want %q", got, want[kind.name])
			}
			if kind.lasting {
				return
			}
			if err := u.heal(); err != nil {
				t.Fatal(err)
			}
			if got := answerOf(t, u.url); got != "200 OK" {
				t.Errorf("the healed upstream answers %q", got)
			}
		})
	}
}

// answerOf sends a POST and returns the status or the error.
func answerOf(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Webhook-Id", "one")
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	_ = resp.Body.Close()
	return resp.Status
}
