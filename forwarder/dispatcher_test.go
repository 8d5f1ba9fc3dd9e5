package forwarder

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestDispatcherUpstreamsAreIndependent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		healthy := scripted(always(200))
		r := newRig(t,
			Upstream{Name: "hanging", Sender: hanging},
			Upstream{Name: "dead", Sender: scripted(refused)},
			Upstream{Name: "healthy", Sender: healthy, Concurrency: 1},
		)
		for range 100 {
			r.add("hanging", false)
			r.add("dead", false)
			r.add("healthy", false)
		}
		synctest.Wait()
		if n := r.count("healthy", queue.Delivered); n != 100 {
			t.Errorf("%d of 100 delivered at once beside a hanging upstream and a dead one", n)
		}
		for _, s := range r.d.Status() {
			want := UpstreamStatus{Name: s.Name, LastSuccess: s.LastSuccess, LastFailure: s.LastFailure, PausedUntil: s.PausedUntil}
			switch s.Name {
			case "hanging":
				want.InFlight = DefaultConcurrency
			case "dead":
				want.Paused, want.PauseReason = true, Failures
			}
			if s != want {
				t.Errorf("status = %+v, want %+v", s, want)
			}
		}
	})
}

func TestDispatcherApplyFindsWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.add("ehr", false)
		synctest.Wait()
		r.d.Wake("nobody")
		r.apply(Upstream{Name: "ehr", Sender: answering(200)})
		synctest.Wait()
		if n := r.count("ehr", queue.Delivered); n != 1 {
			t.Error("not delivered")
		}
	})
}

// An upstream that is taken out of the configuration is attempted no more, but
// what is under way ends by itself, by the settings it began with.
func TestDispatcherApplyRemoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: slow(10 * time.Second), Concurrency: 2})
		for range 5 {
			r.add("ehr", false)
		}
		elapse(time.Second)
		r.apply()
		elapse(time.Hour)
		if n := r.count("ehr", queue.Delivered); n != 2 || r.inFlight() != 0 {
			t.Errorf("%d delivered and %d claimed, want the 2 under way and none", n, r.inFlight())
		}
		if len(r.d.Status()) != 0 {
			t.Errorf("status = %+v", r.d.Status())
		}
		r.apply(Upstream{Name: "ehr", Sender: answering(200)})
		synctest.Wait()
		if n := r.count("ehr", queue.Delivered); n != 5 {
			t.Errorf("%d of 5 delivered when it is back", n)
		}
	})
}

func TestDispatcherApplyChangesSettings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: slow(10 * time.Second), Concurrency: 2})
		for range 5 {
			r.add("ehr", false)
		}
		elapse(time.Second)
		second := scripted(always(200))
		r.apply(Upstream{Name: "ehr", Sender: second, Concurrency: 3})
		synctest.Wait()
		if n := r.count("ehr", queue.Delivered); n != 3 || len(second.to("")) != 3 {
			t.Errorf("%d delivered, %d of them by the new settings; want the third slot to take all 3", n, len(second.to("")))
		}
		elapse(10 * time.Second)
		if n := r.count("ehr", queue.Delivered); n != 5 {
			t.Errorf("%d delivered; what was under way was interrupted", n)
		}
	})
}

// pausedRig has an upstream that has just been paused by five failures.
func pausedRig(t *testing.T, up Upstream) *rig {
	t.Helper()
	up.Sender = scripted(always(500))
	r := newRig(t, up)
	for range 5 {
		r.add(up.Name, false)
	}
	synctest.Wait()
	if !r.paused(t, up.Name) {
		t.Fatal("not paused after five failures")
	}
	return r
}

func TestDispatcherApplyKeepsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := pausedRig(t, Upstream{Name: "ehr", Identity: "http://a"})
		s := scripted(always(200))
		r.apply(Upstream{Name: "ehr", Identity: "http://a", Sender: s})
		r.add("ehr", false)
		synctest.Wait()
		if !r.paused(t, "ehr") || len(s.to("")) != 0 {
			t.Error("a reload ended the pause")
		}
		elapse(time.Second)
		synctest.Wait()
		if r.paused(t, "ehr") || len(s.to("")) != 1 {
			t.Error("the probe did not go to the new Sender")
		}
	})
}

func TestDispatcherApplyWithAnotherIdentityEndsAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := pausedRig(t, Upstream{Name: "ehr", Identity: "http://a"})
		s := scripted(always(200))
		r.apply(Upstream{Name: "ehr", Identity: "http://b", Sender: s})
		r.add("ehr", false)
		synctest.Wait()
		if r.paused(t, "ehr") || len(s.to("")) != 1 {
			t.Error("another backend pays for what the old one did")
		}
		if got := fmt.Sprint(r.obs.pauses()); got != "[paused ehr resumed ehr]" {
			t.Errorf("pauses = %v", got)
		}
	})
}

// Attempts that hang at the old backend take no slot of the new one, and what
// becomes of them tells nothing of it.
func TestDispatcherApplyWithAnotherIdentityBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Identity: "http://a", Sender: hanging, Concurrency: 8, Timeout: 10 * time.Second})
		for range 8 {
			r.add("ehr", false)
		}
		elapse(time.Second)
		s := scripted(always(200))
		r.apply(Upstream{Name: "ehr", Identity: "http://b", Sender: s, Concurrency: 8})
		r.add("ehr", false)
		synctest.Wait()
		if n := len(s.to("")); n != 1 {
			t.Errorf("%d attempts at the new backend while the old one hangs, want 1", n)
		}
		elapse(time.Minute)
		if len(r.obs.pauses()) != 0 {
			t.Errorf("the old backend's timeouts paused the new one: %v", r.obs.pauses())
		}
		if n := r.count("ehr", queue.Delivered); n != 9 {
			t.Errorf("%d of 9 delivered", n)
		}
	})
}

// A loop that is asking the queue while its upstream changes gives back what it
// gets, and only then does the loop of the new one begin.
func TestDispatcherApplyWhileClaiming(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		item := r.add("ehr", false)
		release := make(chan struct{})
		var claims atomic.Int32
		r.claimed = func() {
			if claims.Add(1) == 1 {
				<-release
			}
		}
		old, renewed := scripted(always(200)), scripted(always(200))
		r.apply(Upstream{Name: "ehr", Identity: "http://a", Sender: old})
		synctest.Wait()
		r.apply(Upstream{Name: "ehr", Identity: "http://b", Sender: renewed})
		synctest.Wait()
		if n := r.claimCount(); n != 1 {
			t.Errorf("%d claims: the new loop does not wait for the old one", n)
		}
		close(release)
		synctest.Wait()
		if item.releases != 1 || len(old.to("")) != 0 || len(renewed.to("")) != 1 {
			t.Errorf("released %d times, %d attempts at the old backend, %d at the new one", item.releases, len(old.to("")), len(renewed.to("")))
		}
	})
}

// A paused upstream that is removed is reported as resumed, so that its gauge does not stay at 1.
func TestDispatcherApplyRemovesAPausedUpstream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := pausedRig(t, Upstream{Name: "ehr"})
		r.apply()
		synctest.Wait()
		if got := fmt.Sprint(r.obs.pauses()); got != "[paused ehr resumed ehr]" {
			t.Errorf("pauses = %v", got)
		}
	})
}

func TestDispatcherNotifiesTheNewestObserver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		up := Upstream{Name: "ehr", Sender: slow(time.Second)}
		r := newRig(t, up)
		r.add("ehr", false)
		synctest.Wait()
		newest := &recorder{}
		r.d.Apply(Config{Upstreams: []Upstream{up}, Observer: newest})
		elapse(2 * time.Second)
		if len(r.obs.attempts) != 0 || len(newest.attempts) != 1 {
			t.Errorf("%d reports to the old observer and %d to the new one", len(r.obs.attempts), len(newest.attempts))
		}
		r.d.Apply(Config{Upstreams: []Upstream{up}})
		item := r.add("ehr", false)
		elapse(2 * time.Second)
		if state, _ := r.state(item); state != queue.Delivered || len(newest.attempts) != 1 {
			t.Error("without an observer nothing is delivered, or the old one is notified")
		}
	})
}

func TestDispatcherCloseWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: slow(5 * time.Second), Concurrency: 2})
		for range 4 {
			r.add("ehr", false)
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := r.d.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("closing took %s, want as long as the attempts under way", took)
		}
		if n := r.count("ehr", queue.Delivered); n != 2 || r.inFlight() != 0 {
			t.Errorf("%d delivered, %d claimed; want 2 and none", n, r.inFlight())
		}
		r.apply(Upstream{Name: "ehr", Sender: answering(200)})
		r.d.Wake("ehr")
		elapse(time.Minute)
		if n := r.count("ehr", queue.Delivered); n != 2 {
			t.Error("a closed dispatcher delivers")
		}
	})
}

// What hangs is cancelled and given back as if it had not been tried; what is
// being delivered to a removed upstream, too.
func TestDispatcherCloseCancels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "removed", Sender: hanging}, Upstream{Name: "ehr", Sender: hanging})
		items := []*memItem{r.add("ehr", false), r.add("removed", false)}
		synctest.Wait()
		r.apply(Upstream{Name: "ehr", Sender: hanging})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		if err := r.d.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("closing took %s, want 3s", took)
		}
		for _, item := range items {
			state, outcomes := r.state(item)
			if state != queue.Pending || len(outcomes) != 0 || item.releases != 1 || item.claimed {
				t.Errorf("to %s: %s, %d outcomes, released %d times", item.delivery.Upstream, state, len(outcomes), item.releases)
			}
		}
		if len(r.obs.attempts) != 0 {
			t.Errorf("reports = %+v", r.obs.attempts)
		}
	})
}

// An attempt that succeeds in the moment of its cancelling has succeeded.
func TestDispatcherCloseKeepsALateSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Upstream{Name: "ehr", Sender: senderFunc(func(ctx context.Context, _ *Message) (Answer, error) {
			<-ctx.Done()
			return Answer{Status: 200}, nil
		})})
		item := r.add("ehr", false)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.d.Close(ctx); err != nil {
			t.Fatal(err)
		}
		if state, _ := r.state(item); state != queue.Delivered {
			t.Errorf("the event is %s", state)
		}
	})
}

func TestDispatcherCloseGivesUpOnASenderThatHeedsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := newRig(t, Upstream{Name: "ehr", Sender: senderFunc(func(context.Context, *Message) (Answer, error) {
			<-release
			return Answer{Status: 200}, nil
		})})
		r.add("ehr", false)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.d.Close(ctx); !errors.Is(err, ErrStuck) {
			t.Errorf("Close = %v, want ErrStuck", err)
		}
		close(release)
	})
}

// Without Options a Dispatcher has a clock and randomness of its own.
func TestDispatcherDefaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newMemQueue()
		d := New(q, Options{})
		s := scripted(always(400))
		d.Apply(Config{Upstreams: []Upstream{{Name: "ehr", Sender: s}}})
		q.add("ehr", false)
		elapse(6 * time.Second)
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		sent := s.to("")
		if len(sent) != 2 {
			t.Fatalf("%d attempts, want 2", len(sent))
		}
		if wait := gaps(sent)[0]; wait < 4500*time.Millisecond || wait > 5500*time.Millisecond {
			t.Errorf("the first wait is %s, want 5s ±10 %%", wait)
		}
	})
}
