package forwarder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// slow is a Sender that takes d to succeed.
func slow(d time.Duration) Sender {
	return senderFunc(func(context.Context, *Message) (Answer, error) {
		time.Sleep(d)
		return Answer{Status: 200}, nil
	})
}

func TestRunnerKeepsToItsConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: slow(time.Second), Concurrency: 3})
		for range 10 {
			r.add("ehr", false)
		}
		for second, want := range []int{3, 3, 3, 1, 0} {
			synctest.Wait()
			if got := r.d.Status()[0].InFlight; got != want || r.inFlight() != want {
				t.Errorf("second %d: %d in flight, %d claimed, want %d", second, got, r.inFlight(), want)
			}
			elapse(time.Second)
		}
	})
}

// Retries that are due take one slot in ten while first attempts wait, so that
// neither starves the other.
func TestRunnerSharesItsSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(200))
		r := newRig(t)
		for i := range 300 {
			r.add("ehr", i < 100)
		}
		r.apply(Upstream{Name: "ehr", Sender: s, Concurrency: 1})
		synctest.Wait()
		sent := s.to("")
		if len(sent) != 300 {
			t.Fatalf("%d attempts", len(sent))
		}
		for i, x := range sent {
			// The 200 first attempts take nine of ten slots and so last for 222.
			retry := x.attempt == "2"
			if want := i%10 == 9 || i >= 222; retry != want {
				t.Fatalf("slot %d goes to a retry: %v, want %v", i, retry, want)
			}
		}
	})
}

func TestRunnerRateLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []float64{0.5, 10, 100, 500} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := scripted(always(200))
				r := newRig(t)
				for range int(limit*10) + 100 {
					r.add("ehr", false)
				}
				r.apply(Upstream{Name: "ehr", Sender: s, RateLimit: limit})
				elapse(10*time.Second - time.Millisecond)
				burst := newSettings(Upstream{RateLimit: limit}).newLimiter().Burst()
				most, least := int(limit*10)+burst, int(limit*10)-burst
				if n := len(s.to("")); n > most || n < least {
					t.Errorf("%d attempts in 10 s, want %d to %d", n, least, most)
				}
			})
		})
	}
}

func TestRunnerRateLimitCanChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(200))
		r := newRig(t, Upstream{Name: "ehr", Sender: s})
		synctest.Wait()
		r.apply(Upstream{Name: "ehr", Sender: s, RateLimit: 1})
		for range 50 {
			r.add("ehr", false)
		}
		elapse(10 * time.Second)
		if n := len(s.to("")); n < 9 || n > 11 {
			t.Errorf("%d attempts in 10 s under a limit of 1, want about 10", n)
		}
		r.apply(Upstream{Name: "ehr", Sender: s})
		synctest.Wait()
		if n := len(s.to("")); n != 50 {
			t.Errorf("%d attempts after the limit was lifted, want all 50", n)
		}
	})
}

// While paused, an upstream sees one probe at a time and nothing else, although
// many events are due; when one gets through, all of them go.
func TestRunnerProbes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(502))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Concurrency: 5})
		for range 100 {
			r.add("ehr", false)
		}
		synctest.Wait()
		before := len(s.to("")) // a slot freed by one of the first four failures is taken again
		if before < 5 || before > 9 {
			t.Fatalf("%d attempts before the pause, want 5 to 9", before)
		}
		if cause := r.obs.causes[0]; cause == nil || !strings.Contains(cause.Error(), "502") || !r.obs.untils[0].IsZero() {
			t.Errorf("notified of a pause because of %v until %v", cause, r.obs.untils[0])
		}
		elapse(8 * time.Second) // probes after 1, 3 and 7 s
		probes := s.to("")[before-1:]
		wantGaps(t, probes, time.Second, 2*time.Second, 4*time.Second)
		s.now(always(200))
		elapse(8 * time.Second)
		if n := r.count("ehr", queue.Delivered); n < 100-before-3 {
			t.Errorf("%d of 100 delivered once a probe got through", n)
		}
		if got := fmt.Sprint(r.obs.pauses()); got != "[paused ehr resumed ehr]" {
			t.Errorf("pauses = %v", got)
		}
	})
}

// A pause that a Retry-After began is reported to have ended even where there is
// nothing to deliver then.
func TestRunnerAnnouncesTheEndOfAHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(func(string) (Answer, error) { return Answer{503, "10"}, nil })
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{}})
		r.add("ehr", false)
		elapse(11 * time.Second)
		if got := fmt.Sprint(r.obs.pauses()); got != "[paused ehr resumed ehr]" {
			t.Errorf("pauses = %v", got)
		}
	})
}

func TestRunnerIdles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: answering(200)})
		r.add("ehr", false)
		synctest.Wait()
		before := r.claimCount()
		elapse(time.Hour)
		if n := r.claimCount() - before; n > int(time.Hour/pace.MaxCheck)+1 {
			t.Errorf("an idle upstream asked the queue %d times in an hour", n)
		}
	})
}

// What the queue announces to nobody is found all the same.
func TestRunnerLooksInAnyCase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: answering(200)})
		synctest.Wait()
		r.Notify(func(string) {})
		item := r.add("ehr", false)
		elapse(pace.MaxCheck + time.Second)
		if state, _ := r.state(item); state != queue.Delivered {
			t.Errorf("the event is %s", state)
		}
	})
}

// The queue may write an outcome down later than the retry that it asks for is
// due; the retry is late then, and not lost.
func TestRunnerWithASlowQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(400))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{10 * time.Millisecond}})
		r.lagging = true
		item := r.add("ehr", false)
		elapse(300 * time.Millisecond)
		r.flush()
		elapse(time.Second)
		r.flush()
		if state, outcomes := r.state(item); state != queue.Dead || len(outcomes) != 2 {
			t.Errorf("the event is %s after %d attempts", state, len(outcomes))
		}
	})
}

func TestRunnerWithABrokenQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.failClaims(0, errors.New("disk away"))
		r.apply(Upstream{Name: "ehr", Sender: answering(200)})
		item := r.add("ehr", false)
		elapse(2*time.Minute + 500*time.Millisecond)
		if n := r.claimCount(); n != 121 {
			t.Errorf("asked %d times in two minutes, want once a second", n)
		}
		if n := len(r.obs.problems); n != 3 || !strings.Contains(r.obs.problems[0].Error(), `to upstream "ehr": disk away`) {
			t.Errorf("problems = %v, want one a minute", r.obs.problems)
		}
		r.failClaims(0, nil)
		elapse(time.Second)
		if state, _ := r.state(item); state != queue.Delivered {
			t.Errorf("the event is %s when the queue is back", state)
		}
	})
}

func TestRunnerWithEventsThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		err      error
		state    queue.State
		dead     int // reports to the observer
		problems int
	}{
		{"unreadable", queue.ErrUnreadable, queue.Dead, 20, 0},
		{"purged", queue.ErrNotFound, queue.Dead, 0, 0},
		{"without payload", queue.ErrNoPayload, queue.Dead, 20, 0},
		{"for now", errors.New("disk away"), queue.Pending, 0, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := scripted(always(200))
				r := newRig(t)
				items := make([]*memItem, 20)
				for i := range items {
					item := r.add("ehr", false)
					r.failLoad(item.delivery.EventID, fmt.Errorf("loading: %w", tt.err))
					items[i] = item
				}
				good := r.add("ehr", false)
				r.apply(Upstream{Name: "ehr", Sender: s})
				elapse(90 * time.Second)

				if n := len(s.to("")); n != 1 {
					t.Errorf("%d attempts were made, want one, at the good event", n)
				}
				if state, _ := r.state(good); state != queue.Delivered {
					t.Errorf("the good event is %s", state)
				}
				for _, item := range items {
					state, outcomes := r.state(item)
					if state != tt.state {
						t.Fatalf("the event is %s, want %s", state, tt.state)
					}
					if state == queue.Dead && (len(outcomes) != 1 || outcomes[0].Result != queue.Failure || outcomes[0].Used) {
						t.Fatalf("outcomes = %+v", outcomes)
					}
					if item.releases > 91 {
						t.Fatalf("released %d times in 90 s", item.releases)
					}
				}
				if n := r.obs.results()[queue.Failure]; n != tt.dead {
					t.Errorf("%d events reported as dead, want %d", n, tt.dead)
				}
				if n := len(r.obs.problems); n != tt.problems {
					t.Errorf("%d problems reported, want %d: %v", n, tt.problems, r.obs.problems)
				}
				for _, item := range items {
					r.failLoad(item.delivery.EventID, nil)
				}
				elapse(2 * time.Second)
				if got := r.count("ehr", queue.Pending); got != 0 {
					t.Errorf("%d events stay pending", got)
				}
				if r.d.Status()[0].InFlight != 0 || r.inFlight() != 0 {
					t.Error("slots or claims are lost")
				}
			})
		})
	}
}

// An event that cannot be loaded for now costs the others one slot, no more.
func TestRunnerGoesOnBesideAnEventThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		bad := r.add("ehr", false)
		r.failLoad(bad.delivery.EventID, errors.New("bad sector"))
		for range 200 {
			r.add("ehr", false)
		}
		r.apply(Upstream{Name: "ehr", Sender: answering(200), Concurrency: 2})
		synctest.Wait()
		if n := r.count("ehr", queue.Delivered); n != 200 {
			t.Errorf("%d of 200 others delivered at once", n)
		}
		if err := r.d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.inFlight() != 0 {
			t.Error("its claim is not given back on closing")
		}
	})
}
