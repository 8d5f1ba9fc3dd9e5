package forwarder

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

// gaps are the times between the sendings.
func gaps(sent []sending) []time.Duration {
	var g []time.Duration
	for i := 1; i < len(sent); i++ {
		g = append(g, sent[i].at.Sub(sent[i-1].at))
	}
	return g
}

func wantGaps(t *testing.T, sent []sending, want ...time.Duration) {
	t.Helper()
	if got := gaps(sent); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("waits between attempts are %v, want %v", got, want)
	}
}

func TestDeliverySucceeds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got *Message
		r := newRig(t, Upstream{Name: "ehr", Sender: senderFunc(func(_ context.Context, m *Message) (Answer, error) {
			time.Sleep(300 * time.Millisecond)
			got = m
			return Answer{Status: 204}, nil
		})})
		elapse(time.Minute)
		item := r.add("ehr", false)
		began := time.Now()
		elapse(time.Second)

		state, outcomes := r.state(item)
		if state != queue.Delivered || len(outcomes) != 1 {
			t.Fatalf("state = %s, outcomes = %+v", state, outcomes)
		}
		want := queue.Outcome{
			Delivery: outcomes[0].Delivery, At: began, Duration: 300 * time.Millisecond,
			Status: 204, Result: queue.Success, Used: true, State: queue.Delivered,
		}
		if !reflect.DeepEqual(outcomes[0], want) {
			t.Errorf("outcome = %+v\nwant %+v", outcomes[0], want)
		}
		eventtest.Validate(t, got.Body)
		if id := got.Header.Get("webhook-id"); id != item.delivery.EventID {
			t.Errorf("webhook-id = %q", id)
		}
		if ua := got.Header.Get("User-Agent"); ua != "Scribegate/1.2.3" {
			t.Errorf("User-Agent = %q", ua)
		}
		if len(r.obs.attempts) != 1 || r.obs.attempts[0].Lag != 300*time.Millisecond || r.obs.attempts[0].Err != nil {
			t.Errorf("reports = %+v", r.obs.attempts)
		}
		status := r.d.Status()
		if len(status) != 1 || status[0] != (UpstreamStatus{Name: "ehr", LastSuccess: began.Add(300 * time.Millisecond)}) {
			t.Errorf("status = %+v", status)
		}
	})
}

// An event that its backend can never take dies by its schedule, while others
// flow: nothing is paused, whether the failures are its own or the upstream's.
func TestDeliveryOfABadEventAmongGoodOnes(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 302, 400, 404, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var bad string
				s := scripted(nil)
				s.now(func(id string) (Answer, error) {
					if id == bad {
						return Answer{Status: status}, nil
					}
					return Answer{Status: 200}, nil
				})
				r := newRig(t)
				item := r.add("ehr", false)
				bad = item.delivery.EventID
				r.apply(Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}})
				for range 300 {
					r.add("ehr", false)
					elapse(time.Second)
				}
				if state, outcomes := r.state(item); state != queue.Dead || len(outcomes) != 4 {
					t.Errorf("the bad event is %s after %d attempts", state, len(outcomes))
				}
				wantGaps(t, s.to(bad), 5*time.Second, 30*time.Second, 2*time.Minute)
				for i, sent := range s.to(bad) {
					if sent.attempt != fmt.Sprint(i+1) {
						t.Errorf("attempt %d says it is %s", i+1, sent.attempt)
					}
				}
				if n := r.count("ehr", queue.Delivered); n != 300 {
					t.Errorf("%d good events delivered, want 300", n)
				}
				if n := len(s.to("")); n != 304 {
					t.Errorf("%d attempts, want 304", n)
				}
				if len(r.obs.pauses()) != 0 {
					t.Errorf("paused: %v", r.obs.pauses())
				}
			})
		})
	}
}

// Alone, an event that always meets 500 pauses its upstream and still has the
// attempts that its schedule gives it.
func TestDeliveryOfABadEventAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(500))
		r := newRig(t, Upstream{Name: "ehr", Sender: s})
		item := r.add("ehr", false)
		elapse(24 * time.Hour)
		if state, outcomes := r.state(item); state != queue.Dead || len(outcomes) != 10 {
			t.Errorf("the event is %s after %d attempts", state, len(outcomes))
		}
		wantGaps(t, s.to(""), DefaultRetry...)
	})
}

// An outage kills nothing, however long it is, and holds nothing up for long
// after it.
func TestDeliveryOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(refused)
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Concurrency: 4, Retry: []time.Duration{5 * time.Second, 8 * time.Hour}})
		for range 50 {
			r.add("ehr", false)
		}
		elapse(72 * time.Hour)
		if n := r.count("ehr", queue.Pending); n != 50 {
			t.Fatalf("%d of 50 events are pending", n)
		}
		if !r.paused(t, "ehr") {
			t.Error("not paused")
		}
		if n := len(s.to("")); n > 72*60+50 {
			t.Errorf("%d attempts in 72 hours: more than probes", n)
		}
		s.now(always(200))
		elapse(2*time.Minute + time.Second)
		if n := r.count("ehr", queue.Delivered); n != 50 {
			t.Errorf("%d of 50 events delivered two minutes after the outage", n)
		}
		for _, sent := range s.to("") {
			if sent.attempt != "1" {
				t.Fatalf("an attempt that used nothing was followed by attempt %s", sent.attempt)
			}
		}
		if got := r.obs.pauses(); fmt.Sprint(got) != "[paused ehr resumed ehr]" {
			t.Errorf("pauses = %v", got)
		}
	})
}

func TestDeliveryGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(410))
		r := newRig(t, Upstream{Name: "ehr", Sender: s})
		for range 20 {
			r.add("ehr", false)
		}
		elapse(time.Hour)
		if n := r.count("ehr", queue.Dead); n != 20 || len(s.to("")) != 20 {
			t.Errorf("%d dead after %d attempts, want 20 after 20", n, len(s.to("")))
		}
		if r.obs.results()[queue.Gone] != 20 || len(r.obs.pauses()) != 0 {
			t.Errorf("results = %v, pauses = %v", r.obs.results(), r.obs.pauses())
		}
	})
}

func TestDeliveryRetryAfter(t *testing.T) {
	t.Parallel()
	date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	tests := []struct {
		name   string
		status int
		header func() string
		wait   time.Duration // until the second attempt
		used   string        // what the second attempt says it is
		paused bool
	}{
		{"429, seconds", 429, func() string { return "90" }, 90 * time.Second, "1", true},
		{"429, date", 429, func() string { return date(time.Hour) }, time.Hour, "1", true},
		{"429, far date", 429, func() string { return date(30 * 24 * time.Hour) }, 24 * time.Hour, "1", true},
		{"429, past date", 429, func() string { return date(-time.Hour) }, 5 * time.Second, "1", false},
		{"429, garbage", 429, func() string { return "soon" }, 5 * time.Second, "1", false},
		{"429, nothing", 429, func() string { return "" }, 5 * time.Second, "1", false},
		{"503, seconds", 503, func() string { return "90" }, 90 * time.Second, "2", true},
		{"503, fewer than the schedule says", 503, func() string { return "2" }, 5 * time.Second, "2", true},
		{"503, nothing", 503, func() string { return "" }, 5 * time.Second, "2", false},
		{"500, seconds", 500, func() string { return "90" }, 5 * time.Second, "2", false},
		{"404, seconds", 404, func() string { return "90" }, 5 * time.Second, "2", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := scripted(func(string) (Answer, error) { return Answer{tt.status, tt.header()}, nil })
				r := newRig(t, Upstream{Name: "ehr", Sender: s})
				began := time.Now()
				item := r.add("ehr", false)
				synctest.Wait()
				s.now(always(200))
				if got := r.paused(t, "ehr"); got != tt.paused {
					t.Errorf("paused = %v, want %v", got, tt.paused)
				}
				other := r.add("ehr", false)
				synctest.Wait()
				if state, _ := r.state(other); (state == queue.Pending) != tt.paused {
					t.Errorf("another event is %s meanwhile", state)
				}
				elapse(48 * time.Hour)
				sent := s.to(item.delivery.EventID)
				if len(sent) != 2 || sent[1].attempt != tt.used {
					t.Fatalf("sent %+v, want a second attempt %s", sent, tt.used)
				}
				wantGaps(t, sent, tt.wait)
				if r.count("ehr", queue.Delivered) != 2 {
					t.Error("not delivered")
				}
				if !tt.paused {
					return
				}
				if got := r.obs.pauses(); fmt.Sprint(got) != "[paused ehr resumed ehr]" {
					t.Errorf("pauses = %v", got)
				}
				if until := r.obs.untils[0]; until.Before(began) || until.Sub(began) > tt.wait {
					t.Errorf("reported as paused for %s", until.Sub(began))
				}
			})
		})
	}
}

// A 429 never uses an attempt up: with one attempt in all, the event outlives any
// number of them.
func TestDeliveryTooManyRequestsForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(429))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{time.Minute}})
		item := r.add("ehr", false)
		elapse(time.Hour + time.Second)
		if state, outcomes := r.state(item); state != queue.Pending || len(outcomes) != 61 || outcomes[60].Used {
			t.Errorf("the event is %s after %d attempts", state, len(outcomes))
		}
		if len(r.obs.pauses()) != 0 {
			t.Errorf("paused: %v", r.obs.pauses())
		}
	})
}

func TestDeliveryTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: hanging, Timeout: 7 * time.Second, Retry: []time.Duration{}})
		item := r.add("ehr", false)
		elapse(8 * time.Second)
		state, outcomes := r.state(item)
		if state != queue.Dead || len(outcomes) != 1 || outcomes[0].Result != queue.Timeout || outcomes[0].Duration != 7*time.Second {
			t.Fatalf("state = %s, outcomes = %+v", state, outcomes)
		}
		err := r.obs.attempts[0].Err
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "timeout of 7s") {
			t.Errorf("error = %v", err)
		}
	})
}

// A Sender may panic, as reverse_proxy does: that is a failure, and what the
// panic says is not repeated.
func TestDeliveryPanic(t *testing.T) {
	t.Parallel()
	for _, p := range []any{http.ErrAbortHandler, "payload", errors.New("payload")} {
		t.Run(fmt.Sprintf("%T", p), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Upstream{Name: "ehr", Sender: senderFunc(func(context.Context, *Message) (Answer, error) { panic(p) })})
				item := r.add("ehr", false)
				synctest.Wait()
				state, outcomes := r.state(item)
				if state != queue.Pending || len(outcomes) != 1 || outcomes[0].Result != queue.Failure || !outcomes[0].Used {
					t.Fatalf("state = %s, outcomes = %+v", state, outcomes)
				}
				if err := r.obs.attempts[0].Err; err == nil || strings.Contains(err.Error(), "payload") {
					t.Errorf("error = %v", err)
				}
			})
		})
	}
}

// The keys are asked for on each attempt, so that a rotated secret takes effect.
func TestDeliverySignsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var signatures []string
		calls := 0
		r := newRig(t, Upstream{
			Name: "ehr",
			SigningKeys: func() []SigningKey {
				calls++
				return []SigningKey{SigningKey(fmt.Sprint(calls))}
			},
			Sender: senderFunc(func(_ context.Context, m *Message) (Answer, error) {
				key := SigningKey(fmt.Sprint(calls))
				if want := Sign([]SigningKey{key}, m.Header.Get("webhook-id"), time.Now(), m.Body); m.Header.Get("webhook-signature") != want {
					t.Errorf("signature = %q, want %q", m.Header.Get("webhook-signature"), want)
				}
				signatures = append(signatures, m.Header.Get("webhook-timestamp"))
				return Answer{Status: 400}, nil
			}),
		})
		r.add("ehr", false)
		elapse(6 * time.Second)
		if len(signatures) != 2 || signatures[0] == signatures[1] {
			t.Errorf("timestamps = %v, want two", signatures)
		}
	})
}
