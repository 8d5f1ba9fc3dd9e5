package forwarder

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func unanswered(string) (Answer, error) { return Answer{}, fmt.Errorf("%w: reset", ErrUnanswered) }

// A load balancer without a backend accepts each connection and closes it. Such an
// outage kills nothing either, even where an event has one attempt in all.
func TestDeliveryOutlivesAnOutageBehindALoadBalancer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(200))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Concurrency: 4, Retry: []time.Duration{}})
		r.add("ehr", false)
		synctest.Wait()
		s.now(unanswered)
		for range 50 {
			r.add("ehr", false)
		}
		elapse(72 * time.Hour)
		if n := r.count("ehr", queue.Pending); n != 50 {
			t.Fatalf("%d of 50 events are pending", n)
		}
		if got := r.obs.results(); got[queue.ConnectError] == 0 || got[queue.Failure] != 0 {
			t.Errorf("results = %v", got)
		}
		s.now(always(200))
		elapse(2 * time.Minute)
		if n := r.count("ehr", queue.Delivered); n != 51 {
			t.Errorf("%d of 51 events delivered two minutes after the outage", n)
		}
		for _, sent := range s.to("") {
			if sent.attempt != "1" {
				t.Fatalf("an attempt that used nothing was followed by attempt %s", sent.attempt)
			}
		}
	})
}

// An event on which the backend crashes dies by its schedule while others flow, and
// keeps nobody paused. Its first end does not count, since it may be an outage's.
func TestDeliveryOfAnEventThatCrashesItsBackend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bad string
		s := scripted(func(id string) (Answer, error) {
			if id == bad {
				return unanswered(id)
			}
			return Answer{Status: 200}, nil
		})
		r := newRig(t)
		item := r.add("ehr", false)
		bad = item.delivery.EventID
		r.apply(Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}})
		for range 300 {
			elapse(700 * time.Millisecond)
			r.add("ehr", false)
		}
		synctest.Wait()
		state, outcomes := r.state(item)
		if state != queue.Dead || len(outcomes) != 5 {
			t.Fatalf("the bad event is %s after %d attempts", state, len(outcomes))
		}
		for i, o := range outcomes {
			want := queue.Failure
			if i == 0 {
				want = queue.ConnectError
			}
			if o.Used != (i > 0) || o.Result != want {
				t.Errorf("attempt %d: %s, used %v", i+1, o.Result, o.Used)
			}
		}
		wantGaps(t, s.to(bad), time.Second, 5*time.Second, 30*time.Second, 2*time.Minute)
		if n := r.count("ehr", queue.Delivered); n != 300 || len(r.obs.pauses()) != 0 {
			t.Errorf("%d good events delivered, want 300; pauses: %v", n, r.obs.pauses())
		}
	})
}

// An answer to the event itself, or one from before its previous attempt ended, says
// nothing about what comes after: the upstream may be away since.
func TestDeliveryUnansweredAfterAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(500))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{time.Minute, time.Minute}})
		r.add("ehr", false)
		item := r.add("ehr", false)
		synctest.Wait()
		s.now(unanswered)
		elapse(time.Hour)
		state, outcomes := r.state(item)
		if state != queue.Pending || len(outcomes) < 10 {
			t.Fatalf("the event is %s after %d attempts", state, len(outcomes))
		}
		for _, o := range outcomes[1:] {
			if o.Used {
				t.Fatalf("an attempt is used: %+v", o)
			}
		}
	})
}

// Successive probes use different events, as soon as more than one is due, whichever
// kind of event the probe's slot prefers.
func TestRunnerProbesWithDifferentEvents(t *testing.T) {
	t.Parallel()
	for alone := range 2 * retrySlot { // probes before there is a second event
		t.Run(fmt.Sprint(alone), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := scripted(unanswered)
				r := newRig(t, Upstream{Name: "ehr", Sender: s})
				r.add("ehr", false)
				elapse(pace.FailureLimit*time.Second - time.Millisecond)
				if !r.paused(t, "ehr") {
					t.Fatal("not paused")
				}
				for began := len(s.to("")); len(s.to("")) < began+alone; {
					elapse(time.Second)
				}
				before := len(s.to(""))
				r.add("ehr", false)
				elapse(30 * time.Minute)
				probes := s.to("")[before-1:]
				if len(probes) < 25 {
					t.Fatalf("%d probes", len(probes))
				}
				for i := range probes[1:] {
					if probes[i].id == probes[i+1].id {
						t.Errorf("probes %d and %d are made with the same event", i+1, i+2)
					}
				}
				if n := r.inFlight(); n != 0 {
					t.Errorf("%d deliveries stay claimed", n)
				}
			})
		})
	}
}

// An event on which the backend crashes, alone in a pause that it has caused, does
// not keep others waiting: the next probe is made with one of them.
func TestRunnerProbesPastAnEventThatCrashesItsBackend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var bad string
		s := scripted(func(id string) (Answer, error) {
			if id == bad {
				return unanswered(id)
			}
			return Answer{Status: 200}, nil
		})
		r := newRig(t)
		bad = r.add("ehr", false).delivery.EventID
		r.apply(Upstream{Name: "ehr", Sender: s})
		elapse(time.Hour)
		if !r.paused(t, "ehr") {
			t.Fatal("not paused")
		}
		for range 20 {
			r.add("ehr", false)
		}
		elapse(pace.MaxProbeDelay)
		if n := r.count("ehr", queue.Delivered); n != 20 {
			t.Errorf("%d of 20 good events delivered within a probe's wait", n)
		}
	})
}

// Only a probe is marked as one, so that the sender makes a new connection for it.
func TestRunnerMarksProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var probes []bool
		status := 500
		r := newRig(t, Upstream{Name: "ehr", Concurrency: 1, Sender: senderFunc(func(_ context.Context, m *Message) (Answer, error) {
			probes = append(probes, m.Probe)
			return Answer{Status: status}, nil
		})})
		for range 6 {
			r.add("ehr", false)
		}
		elapse(time.Second)
		status = 200
		r.add("ehr", false)
		elapse(2 * time.Second)
		r.add("ehr", false)
		synctest.Wait()
		want := []bool{false, false, false, false, false, true, true, false}
		if len(probes) < len(want) || !slices.Equal(probes[:len(want)], want) {
			t.Errorf("probes = %v, want %v", probes, want)
		}
	})
}

// What fails at the gateway's side says nothing about the upstream: it pauses
// nothing, ends no pause, and the event dies by its schedule.
func TestDeliveryFailuresOfOurOwn(t *testing.T) {
	t.Parallel()
	internal := map[string]func(string) (Answer, error){
		"panic":            func(string) (Answer, error) { panic("payload") },
		"no valid request": func(string) (Answer, error) { return Answer{}, errRequest },
		"nothing answered": func(string) (Answer, error) { return Answer{}, nil },
	}
	for name, fail := range internal {
		t.Run(name+" pauses nothing", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, Upstream{Name: "ehr", Sender: scripted(fail), Retry: []time.Duration{time.Second}})
				for range 20 {
					r.add("ehr", false)
				}
				elapse(2 * time.Second)
				if n := r.count("ehr", queue.Dead); n != 20 || len(r.obs.pauses()) != 0 {
					t.Errorf("%d of 20 events are dead, pauses: %v", n, r.obs.pauses())
				}
			})
		})
		t.Run(name+" ends no pause", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := scripted(refused)
				r := newRig(t, Upstream{Name: "ehr", Sender: s, Concurrency: 5})
				for range 5 {
					r.add("ehr", false)
				}
				synctest.Wait()
				s.now(fail)
				elapse(time.Second)
				s.now(refused)
				elapse(time.Minute)
				if !r.paused(t, "ehr") || len(r.obs.pauses()) != 1 {
					t.Errorf("pauses: %v", r.obs.pauses())
				}
			})
		})
	}
}

// A backend has moved: its name has another address, while the old one answers 503
// on connections that were kept, as a load balancer does that pins them. A probe
// finds the new one.
func TestDeliveryToABackendThatHasMoved(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP/1.1", true: "HTTP/2"}[h2], func(t *testing.T) {
			t.Parallel()
			moved := make(chan struct{})
			old := tlsServer(t, h2, nil, func(w http.ResponseWriter, _ *http.Request) {
				select {
				case <-moved:
					w.WriteHeader(http.StatusServiceUnavailable)
				default:
				}
			})
			young := tlsServer(t, h2, nil, func(http.ResponseWriter, *http.Request) {})
			address := func() string {
				select {
				case <-moved:
					return young.Listener.Addr().String()
				default:
					return old.Listener.Addr().String()
				}
			}
			s := newSender(t, "https://example.com/events", 4)
			trust(s, old)
			dial := s.template.DialContext
			s.template.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return dial(ctx, network, address())
			}
			r := newRig(t, Upstream{Name: "ehr", Sender: s, Concurrency: 1, Retry: []time.Duration{10 * time.Millisecond, 10 * time.Millisecond}})
			r.add("ehr", false)
			until(t, "the first event to be delivered", func() bool { return r.count("ehr", queue.Delivered) == 1 })
			close(moved)
			for range 20 {
				r.add("ehr", false)
			}
			until(t, "the new address to be found", func() bool { return r.count("ehr", queue.Delivered) == 21 })
			if r.paused(t, "ehr") {
				t.Error("still paused")
			}
		})
	}
}
