package forwarder

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
)

// noticed is how long it may take until it is noticed what the clock shows.
const noticed = 30 * time.Second

// booted is a time with a monotonic reading, which a bubble's own times lack.
var booted = time.Now()

// A jumpingClock is a wall clock that is set while time goes on. A suspended
// machine's is set forward when it resumes: the time that its timers wait for
// stood still meanwhile, as does a bubble's while a test does something.
type jumpingClock struct {
	bare bool // whether its times have no monotonic reading; those of time.Now have one

	mu       sync.Mutex
	began    time.Time
	offset   time.Duration
	furthest time.Duration // the largest offset so far
	jumps    []jump
}

// A jump sets a clock forward or back, so long after it began.
type jump struct{ at, by time.Duration }

func (j jump) String() string {
	return fmt.Sprintf("%+d min at %d min", j.by/time.Minute, j.at/time.Minute)
}

func newJumpingClock(bare bool) *jumpingClock { return &jumpingClock{bare: bare, began: time.Now()} }

// elapsed is the time that has passed, whatever the clock says.
func (c *jumpingClock) elapsed() time.Duration { return time.Since(c.began) }

func (c *jumpingClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := set(booted.Add(c.elapsed()), c.offset)
	if c.bare {
		return now.Round(0)
	}
	return now
}

func (c *jumpingClock) jump(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumps = append(c.jumps, jump{c.elapsed(), by})
	c.offset += by
	c.furthest = max(c.furthest, c.offset)
}

// shows is when the clock first shows that d has passed since it began, given
// the jumps that it has made.
func (c *jumpingClock) shows(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	var offset time.Duration
	for _, j := range c.jumps {
		if d-offset <= j.at {
			break
		}
		if offset += j.by; d-offset <= j.at {
			return j.at
		}
	}
	return d - offset
}

// set sets the wall clock reading of a time as the system's clock is set: its
// monotonic reading stays. There is no other way to have such a time than to
// reach into it, so that the result is checked.
func set(t time.Time, by time.Duration) time.Time {
	out := t
	layout := (*struct {
		wall uint64 // in bits 30 to 62: seconds
		ext  int64
		loc  *time.Location
	})(unsafe.Pointer(&out))
	layout.wall += uint64(by/time.Second) << 30
	if out.Sub(t) != 0 || out.Round(0).Sub(t.Round(0)) != by {
		panic("a time.Time is not laid out as this test knows it")
	}
	return out
}

// everyClock runs a test in a bubble with either kind of clock.
func everyClock(t *testing.T, test func(t *testing.T, c *jumpingClock)) {
	t.Helper()
	for name, bare := range map[string]bool{"as time.Now": false, "without monotonic reading": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test(t, newJumpingClock(bare)) })
		})
	}
}

// everyJump runs a test in a bubble with either kind of clock and an hour's jump
// either way at the given time.
func everyJump(t *testing.T, at time.Duration, test func(t *testing.T, c *jumpingClock, j jump)) {
	t.Helper()
	for _, by := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(fmt.Sprint(by), func(t *testing.T) {
			t.Parallel()
			everyClock(t, func(t *testing.T, c *jumpingClock) { test(t, c, jump{at, by}) }) //nolint:thelper // it is the test
		})
	}
}

// A clockRig is a dispatcher over a queue in a file, by a clock that jumps.
type clockRig struct {
	*jumpingClock

	t     *testing.T
	queue *sqlitequeue.Queue
	obs   *recorder
	s     *script
}

func newClockRig(t *testing.T, c *jumpingClock, s queue.Settings, up Upstream, reply func(id string) (Answer, error)) *clockRig {
	t.Helper()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: s, Now: c.Now, Elapsed: c.elapsed})
	if err != nil {
		t.Fatal(err)
	}
	r := &clockRig{jumpingClock: c, t: t, queue: q, obs: &recorder{}, s: scripted(reply)}
	d := New(q, Options{Now: c.Now, Rand: func() float64 { return 0.5 }})
	up.Name, up.Sender = "ehr", r.s
	d.Apply(Config{Upstreams: []Upstream{up}, Observer: r.obs})
	t.Cleanup(func() {
		if err := errors.Join(d.Close(context.Background()), q.Close()); err != nil {
			t.Error(err)
		}
	})
	return r
}

// store stores an event now, and reports whether it is a duplicate.
func (r *clockRig) store(id string) (duplicate bool) {
	r.t.Helper()
	e := sampleEvent(id)
	e.ReceivedAt = r.Now()
	receipt, err := r.queue.Store(r.t.Context(), queue.Item{Event: e, Upstreams: []string{"ehr"}})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.queue.Stats(); err != nil { // by then it is due
		r.t.Fatal(err)
	}
	synctest.Wait()
	return receipt.Duplicate
}

// make lets time pass until a jump, and makes it.
func (r *clockRig) make(j jump) {
	elapse(j.at - r.elapsed())
	r.jump(j.by)
}

// wantSent checks when an event's attempts came: not before the times, counted
// from the beginning, and within slack after them.
func (r *clockRig) wantSent(id string, slack time.Duration, want ...time.Duration) {
	r.t.Helper()
	sent := r.s.to(id)
	var got []time.Duration
	for _, x := range sent {
		got = append(got, x.at.Sub(r.began))
	}
	if len(got) != len(want) {
		r.t.Fatalf("%s was attempted at %v, want at %v", id, got, want)
	}
	for i := range got {
		if got[i] < want[i] || got[i] > want[i]+slack {
			r.t.Errorf("attempts of %s were at %v, want at %v and at most %s later", id, got, want, slack)
			return
		}
	}
}

func (r *clockRig) state(id string) queue.State {
	r.t.Helper()
	rec, err := r.queue.Event(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return rec.Deliveries[0].State
}

// A retry is due by the wall clock, since it outlives the process: the jump is
// what it comes early or late by. The next one is as the schedule says.
func TestClockRetry(t *testing.T) {
	t.Parallel()
	everyJump(t, time.Minute, func(t *testing.T, c *jumpingClock, j jump) {
		r := newClockRig(t, c, queue.DefaultSettings(), Upstream{Retry: []time.Duration{10 * time.Minute, 20 * time.Minute}}, always(400))
		r.store("a")
		r.make(j)
		elapse(3 * time.Hour)
		first := r.shows(10 * time.Minute)
		r.wantSent("a", noticed, 0, first, first+20*time.Minute)
		second := r.s.to("a")
		if gap := second[2].at.Sub(second[1].at); gap < 20*time.Minute || gap > 20*time.Minute+time.Second {
			t.Errorf("the wait after the jump is %s, want 20m", gap)
		}
		if s := r.state("a"); s != queue.Dead {
			t.Errorf("the event is %s after its last attempt", s)
		}
	})
}

// An upstream that asked for a pause gets it: by time.Now it is as long as it
// was to be.
func TestClockRetryAfter(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func(now time.Time) string{
		"seconds": func(time.Time) string { return "1800" },
		"date": func(now time.Time) string {
			return now.Add(30*time.Minute + 999*time.Millisecond).UTC().Format(http.TimeFormat)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			everyJump(t, 10*time.Minute, func(t *testing.T, c *jumpingClock, j jump) {
				r := newClockRig(t, c, queue.DefaultSettings(), Upstream{}, func(string) (Answer, error) {
					return Answer{Status: 429, RetryAfter: header(c.Now())}, nil
				})
				r.store("held")
				r.s.now(always(200))
				elapse(time.Minute)
				r.store("new")
				r.make(j)
				elapse(3 * time.Hour)
				const wait = 30 * time.Minute
				byClock := r.shows(wait)
				pause := wait
				if c.bare {
					pause = byClock
				}
				r.wantSent("new", noticed+time.Second, pause)
				r.wantSent("held", noticed+time.Second, 0, max(pause, byClock))
				if got := r.obs.pauses(); fmt.Sprint(got) != "[paused ehr resumed ehr]" {
					t.Errorf("pauses = %v", got)
				}
			})
		})
	}
}

// An upstream that is paused for its failures is probed by time.Now as often as
// it was to be, and what is new is delivered with the first probe that succeeds.
func TestClockPause(t *testing.T) {
	t.Parallel()
	everyJump(t, 10*time.Minute, func(t *testing.T, c *jumpingClock, j jump) {
		r := newClockRig(t, c, queue.DefaultSettings(), Upstream{}, refused)
		for i := range 10 {
			r.store(fmt.Sprint("old", i))
		}
		r.make(j)
		r.s.now(always(200))
		r.store("new")
		elapse(3 * time.Hour)
		late := time.Minute + noticed
		if c.bare {
			late += max(0, -j.by)
		}
		r.wantSent("new", late, 10*time.Minute)
		for i := range 10 {
			id := fmt.Sprint("old", i)
			sent := r.s.to(id)
			if at := sent[len(sent)-1].at.Sub(r.began); r.state(id) != queue.Delivered || at > 10*time.Minute+late+max(0, -j.by) {
				t.Errorf("%s is %s after an attempt at %s", id, r.state(id), at)
			}
		}
	})
}

// A limited rate is kept to, and by time.Now it is kept up.
func TestClockRateLimit(t *testing.T) {
	t.Parallel()
	everyJump(t, 20*time.Second, func(t *testing.T, c *jumpingClock, j jump) {
		r := newClockRig(t, c, queue.DefaultSettings(), Upstream{RateLimit: 5}, always(200))
		for i := range 200 {
			r.store(fmt.Sprint("e", i))
		}
		r.make(j)
		elapse(2 * time.Hour)
		sent := r.s.to("")
		if len(sent) != 200 {
			t.Fatalf("%d of 200 events were delivered", len(sent))
		}
		late := 3 * time.Second
		if c.bare {
			late += max(0, -j.by)
		}
		if took := sent[199].at.Sub(r.began); took < 39*time.Second || took > 39*time.Second+late {
			t.Errorf("200 events at 5 per second took %s", took)
		}
		for i := range sent[6:] {
			if d := sent[i+6].at.Sub(sent[i].at); d < 900*time.Millisecond {
				t.Errorf("7 attempts within %s, at %s", d, sent[i].at.Sub(r.began))
			}
		}
	})
}

// What is measured is never less than nothing: a histogram would take it for a
// counter that began anew.
func TestClockLag(t *testing.T) {
	t.Parallel()
	everyJump(t, time.Minute, func(t *testing.T, c *jumpingClock, j jump) {
		r := newClockRig(t, c, queue.DefaultSettings(), Upstream{Timeout: time.Hour}, func(string) (Answer, error) {
			time.Sleep(2 * time.Minute)
			return Answer{Status: 200}, nil
		})
		r.store("a")
		r.make(j)
		elapse(2 * time.Minute)
		if len(r.obs.attempts) != 1 {
			t.Fatalf("reports = %+v", r.obs.attempts)
		}
		a := r.obs.attempts[0]
		if want := max(0, 2*time.Minute+j.by); a.Lag != want {
			t.Errorf("the lag is %s, want %s", a.Lag, want)
		}
		if d := a.Outcome.Duration; d != 2*time.Minute && !c.bare {
			t.Errorf("the duration is %s, want 2m", d)
		}
	})
}

// ends finds when something is over, to the minute.
func (r *clockRig) ends(over func() bool) time.Duration {
	for !over() {
		if r.elapsed() > 24*time.Hour {
			r.t.Fatal("it is not over after a day")
		}
		elapse(time.Minute)
	}
	return r.elapsed()
}

// A jump of the clock ahead moves the end of what is kept only once it has stood for
// an hour, and a jump there and back not at all.
func TestClockRetention(t *testing.T) {
	t.Parallel()
	const kept = 2 * time.Hour
	for _, c := range []struct {
		jumps []jump
		want  time.Duration
	}{
		{[]jump{{30 * time.Minute, time.Hour}}, 90 * time.Minute},
		{[]jump{{30 * time.Minute, -time.Hour}}, 180 * time.Minute},
		{[]jump{{30 * time.Minute, time.Hour}, {45 * time.Minute, -time.Hour}}, kept},
		{[]jump{{30 * time.Minute, -time.Hour}, {45 * time.Minute, time.Hour}}, kept},
		{[]jump{{30 * time.Minute, 5 * time.Hour}}, 90 * time.Minute},
		{[]jump{{30 * time.Minute, 24 * 365 * time.Hour}, {80 * time.Minute, -24 * 365 * time.Hour}}, kept},
	} {
		jumps, want := c.jumps, c.want
		t.Run(fmt.Sprint(jumps), func(t *testing.T) {
			t.Parallel()
			for _, tt := range []struct {
				name   string
				change func(s *queue.Settings)
				status int
				over   func(r *clockRig) bool
			}{
				{"dedupe_window", func(s *queue.Settings) { s.DedupeWindow, s.HistoryRetention = kept, time.Minute }, 200, func(r *clockRig) bool {
					return !r.store("a")
				}},
				{"history_retention", func(s *queue.Settings) { s.HistoryRetention = kept }, 200, func(r *clockRig) bool {
					_, err := r.queue.Event(r.t.Context(), "a")
					return errors.Is(err, queue.ErrNotFound)
				}},
				{"keep_delivered", func(s *queue.Settings) { s.KeepDelivered = kept }, 200, func(r *clockRig) bool {
					_, err := r.queue.Payload(r.t.Context(), "a")
					return errors.Is(err, queue.ErrNoPayload)
				}},
				{"dead_retention", func(s *queue.Settings) { s.DeadRetention = kept }, 410, func(r *clockRig) bool {
					_, err := r.queue.Event(r.t.Context(), "a")
					return errors.Is(err, queue.ErrNotFound)
				}},
			} {
				t.Run(tt.name, func(t *testing.T) {
					t.Parallel()
					everyClock(t, func(t *testing.T, c *jumpingClock) {
						s := queue.DefaultSettings()
						tt.change(&s)
						r := newClockRig(t, c, s, Upstream{}, always(tt.status))
						r.store("a")
						for _, j := range jumps {
							for r.elapsed() < j.at {
								if tt.over(r) {
									t.Fatalf("it is over after %s", r.elapsed())
								}
								elapse(time.Minute)
							}
							r.jump(j.by)
						}
						elapse(2 * time.Second) // for the sweep
						end := r.ends(func() bool { return tt.over(r) })
						if end < want || end > want+time.Minute+3*time.Second {
							t.Errorf("it is over after %s, want %s", end, want)
						}
					})
				})
			}
		})
	}
}

// After a suspension every timer is late by as long as it was, and what is due
// by the clock is found all the same within half a minute.
func TestClockSuspended(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		sleep time.Duration
		want  time.Duration // when the retry is attempted, not counting the suspension
	}{
		{"overdue when it resumes", 8 * time.Hour, 10 * time.Minute},
		{"due some time after", 30 * time.Minute, 30 * time.Minute},
		{"due just after", 49*time.Minute + 50*time.Second, 10*time.Minute + 10*time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			everyClock(t, func(t *testing.T, c *jumpingClock) {
				r := newClockRig(t, c, queue.DefaultSettings(), Upstream{Retry: []time.Duration{time.Hour}}, always(400))
				r.store("a")
				r.make(jump{10 * time.Minute, tt.sleep})
				elapse(2 * time.Hour)
				r.wantSent("a", noticed, 0, tt.want)
			})
		})
	}
}

// Whatever the clock does, nothing waits for ever: once it stands, everything is
// delivered after what is left of the jumps and the longest wait.
func TestClockAtRandom(t *testing.T) {
	t.Parallel()
	everyClock(t, func(t *testing.T, c *jumpingClock) {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		var mu sync.Mutex // the sender's goroutines share random
		up := Upstream{Retry: []time.Duration{time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}}
		r := newClockRig(t, c, queue.DefaultSettings(), up, func(string) (Answer, error) {
			mu.Lock()
			defer mu.Unlock()
			switch random.IntN(6) {
			case 0:
				return Answer{Status: 429, RetryAfter: "300"}, nil
			case 1:
				return Answer{Status: 503, RetryAfter: c.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat)}, nil
			case 2:
				return Answer{Status: 200}, nil
			default:
				return refused("")
			}
		})
		const count = 100
		for i := range count {
			r.store(fmt.Sprint("e", i))
			mu.Lock()
			wait, by := time.Duration(random.IntN(120))*time.Second, time.Duration(random.IntN(7200)-3600)*time.Second
			mu.Unlock()
			elapse(wait)
			if i%7 == 6 {
				r.jump(by)
			}
		}
		r.s.now(always(200))
		left := r.furthest - r.offset
		elapse(left + 5*time.Minute + time.Minute + noticed + time.Second)
		page, err := r.queue.Events(t.Context(), queue.Filter{State: queue.Pending, Limit: count})
		if err != nil || len(page.Records) != 0 {
			t.Errorf("seed %d: %d events wait %s after the last jump, of which %s are jumps: %v", seed, len(page.Records), r.elapsed(), left, err)
		}
	})
}

// A clock that is set back while something is nearly due leaves the queue being
// asked as often as ever: what is due then is not known before.
func TestAgendaWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()
	var a pace.Agenda
	now := booted
	a.Asking(now)
	a.Asked(now, false, now.Add(5*time.Second).Round(0)) // as a queue returns it
	later := set(now.Add(noticed), -time.Hour)
	if ready, at := a.Ready(later); !ready {
		t.Errorf("the queue is not asked %s after it was, but in %s", noticed, at.Sub(later))
	}
}
