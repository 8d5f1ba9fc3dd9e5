package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What has to become of events at a bad upstream, and what has not.
func TestFates(t *testing.T) {
	t.Parallel()
	const n = 10
	tests := []struct {
		name   string
		fate   fate
		rest   rest
		now    upstreamStatus
		paused bool // whether it ever was
		wrong  bool
	}{
		{"all delivered", fateDelivered, restNever, upstreamStatus{}, false, false},
		{"one is pending", fateDelivered, restNever, upstreamStatus{Pending: 1}, false, true},
		{"one is dead", fateDelivered, restNever, upstreamStatus{Dead: 1}, false, true},
		{"delivered, with a pause", fateDelivered, restNever, upstreamStatus{}, true, true},
		{"delivered, with a pause that may be", fateDelivered, restEither, upstreamStatus{}, true, false},
		{"all pending", fateWaiting, restPaused, upstreamStatus{Pending: n, Paused: true}, true, false},
		{"all pending, and it should be paused", fateWaiting, restPaused, upstreamStatus{Pending: n}, false, true},
		{"one was used up by an outage", fateWaiting, restPaused, upstreamStatus{Pending: n - 1, Dead: 1, Paused: true}, true, true},
		{"some are dead", fateFailing, restPaused, upstreamStatus{Pending: n - 2, Dead: 2, Paused: true}, true, false},
		{"one was delivered to an upstream that takes none", fateFailing, restPaused, upstreamStatus{Pending: n - 1, Paused: true}, true, true},
		{"all are dead", fateDead, restNever, upstreamStatus{Dead: n}, false, false},
		{"one is tried still", fateDead, restNever, upstreamStatus{Dead: n - 1, Pending: 1}, false, true},
		{"one is dead of one", fateOneDead, restNever, upstreamStatus{Dead: 1}, false, false},
		{"two are dead of one", fateOneDead, restNever, upstreamStatus{Dead: 2}, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := badKind{fate: tt.fate, rest: tt.rest}.wrong(tt.now, n, tt.paused)
			if (err != nil) != tt.wrong {
				t.Errorf("error %v, and wrong is %v", err, tt.wrong)
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
		{"many times as long, and still nothing", ms(4, 5, 6), ms(1, 1, 1), false},
		{"longer, by what a busy machine may do", ms(50, 50, 50), ms(20, 20, 20), false},
		{"many times as long", ms(50, 50, 50), ms(2, 2, 2), true},
		{"nothing was measured", nil, ms(2, 2, 2), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := compareLags(tt.now, tt.before).wrong(); (err != nil) != tt.wrong {
				t.Errorf("error %v, and wrong is %v", err, tt.wrong)
			}
		})
	}
}

// Each bad upstream does to a client what its name says.
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
				return // as by a resolver that does not know either
			}
			if want[kind.name] == "" || !strings.Contains(got, want[kind.name]) {
				t.Errorf("it did %q, which should be %q", got, want[kind.name])
			}
			if kind.lasting {
				return
			}
			if err := u.heal(); err != nil {
				t.Fatal(err)
			}
			if got := answerOf(t, u.url); got != "200 OK" {
				t.Errorf("healed, it did %q", got)
			}
		})
	}
}

// answerOf posts something and returns the status, or the error.
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
