package pace

import (
	"errors"
	"testing"
	"time"
)

var (
	okay      = Verdict{}
	upstreams = Verdict{Fault: true}
	errDown   = errors.New("down")
)

// A patient drives a pause through a story, a step at a time.
type patient struct {
	*testing.T
	Pause

	now time.Time
}

func newPatient(t *testing.T) *patient { return &patient{T: t, now: noon} }

func (p *patient) begins() Ticket {
	p.Helper()
	t, ok := p.Begin(p.now)
	if !ok {
		p.Fatalf("no attempt may begin at noon + %s", p.now.Sub(noon))
	}
	return t
}

func (p *patient) ends(t Ticket, v Verdict) { p.End(t, v, errDown, p.now) }

func (p *patient) fail(times int) {
	p.Helper()
	for range times {
		p.ends(p.begins(), upstreams)
	}
}

// waits checks that no attempt may begin before d has passed, and lets it pass.
func (p *patient) waits(d time.Duration) {
	p.Helper()
	n, at := p.Room(p.now)
	if n != 0 || !at.Equal(p.now.Add(d)) {
		p.Fatalf("room for %d, again in %s; want none for %s", n, at.Sub(p.now), d)
	}
	p.now = at
}

func (p *patient) flows() {
	p.Helper()
	if n, _ := p.Room(p.now); n <= 1 {
		p.Fatalf("room for %d at noon + %s, want any number", n, p.now.Sub(noon))
	}
	if _, paused := p.Paused(p.now); paused {
		p.Fatal("reported as paused")
	}
}

func (p *patient) isPaused(until time.Time) {
	p.Helper()
	got, paused := p.Paused(p.now)
	if !paused || !got.Equal(until) {
		p.Fatalf("paused = %v until %v, want until %v", paused, got, until)
	}
}

func TestPauseAfterFiveFailures(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.fail(4)
	p.flows()
	p.fail(1)
	p.isPaused(time.Time{})
	if !errors.Is(p.cause, errDown) {
		t.Errorf("cause = %v", p.cause)
	}
	for _, wait := range []int{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		p.waits(time.Duration(wait) * time.Second)
		p.fail(1)
	}
}

func TestPauseEnds(t *testing.T) {
	t.Parallel()
	getsThrough := map[string]Verdict{
		"success": okay,
	}
	for name, v := range getsThrough {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			p.fail(5)
			p.waits(time.Second)
			p.fail(1)
			p.waits(2 * time.Second)
			p.ends(p.begins(), v)
			p.flows()
			p.fail(4) // the count and the waits begin anew
			p.flows()
			p.fail(1)
			p.waits(time.Second)
		})
	}
}

func TestPauseCountsFailuresInARow(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	for range 2 {
		p.fail(4)
		p.ends(p.begins(), okay)
	}
	p.fail(4)
	p.flows()
}

func TestPauseAllowsOneProbe(t *testing.T) {
	t.Parallel()
	p := newPatient(t)
	p.fail(5)
	p.waits(time.Second)
	if n, _ := p.Room(p.now); n != 1 {
		t.Fatalf("room for %d, want for one probe", n)
	}
	probe := p.begins()
	p.now = p.now.Add(time.Hour)
	if n, at := p.Room(p.now); n != 0 || !at.IsZero() {
		t.Fatalf("room for %d, again at %v, beside a probe", n, at)
	}
	if _, ok := p.Begin(p.now); ok {
		t.Fatal("a second probe began")
	}
	p.Abandon(probe)
	p.begins()
}

func TestPauseAndAttemptsFromBeforeIt(t *testing.T) {
	t.Parallel()
	t.Run("failures do not lengthen it", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		old := p.begins()
		p.fail(5)
		p.now = p.now.Add(900 * time.Millisecond)
		p.ends(old, upstreams)
		p.waits(100 * time.Millisecond)
		p.fail(1)
		p.waits(2 * time.Second)
	})
	t.Run("failures do not end a probe", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		old := p.begins()
		p.fail(5)
		p.waits(time.Second)
		p.begins()
		p.ends(old, upstreams)
		if _, ok := p.Begin(p.now); ok {
			t.Error("a second probe began")
		}
	})
	t.Run("failures do not count after it", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		old := make([]Ticket, 20)
		for i := range old {
			old[i] = p.begins()
		}
		p.fail(5)
		p.waits(time.Second)
		p.ends(p.begins(), okay)
		for _, o := range old {
			p.ends(o, upstreams)
		}
		p.flows()
	})
	t.Run("success ends it", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		old := p.begins()
		p.fail(5)
		p.ends(old, okay)
		p.flows()
	})
	t.Run("a probe of an earlier pause is none of this one", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		old := p.begins()
		p.fail(5)
		p.waits(time.Second)
		stale := p.begins()
		p.ends(old, okay)
		p.fail(5)
		p.waits(time.Second)
		p.begins()
		p.ends(stale, upstreams)
		if _, ok := p.Begin(p.now); ok {
			t.Error("a second probe began")
		}
	})
}

func TestPauseHold(t *testing.T) {
	t.Parallel()
	until := func(v Verdict, d time.Duration) Verdict {
		v.Hold = noon.Add(d)
		return v
	}
	busy := Verdict{}
	t.Run("no attempt until then", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		p.ends(p.begins(), until(busy, time.Minute))
		p.isPaused(noon.Add(time.Minute))
		p.waits(time.Minute)
		p.flows()
	})
	t.Run("the later of several wins", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		a, b, c := p.begins(), p.begins(), p.begins()
		p.ends(a, until(busy, time.Minute))
		p.ends(b, until(busy, time.Hour))
		p.ends(c, until(busy, time.Second))
		p.waits(time.Hour)
		p.flows()
	})
	t.Run("success meanwhile does not end it", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		old := p.begins()
		p.ends(p.begins(), until(busy, time.Minute))
		p.ends(old, okay)
		p.waits(time.Minute)
	})
	t.Run("a failure that holds counts as one", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		p.fail(4)
		p.ends(p.begins(), until(upstreams, time.Minute))
		p.isPaused(p.now.Add(time.Minute))
		p.waits(time.Minute)
		p.fail(1) // the probe, since it is still paused after the hold
		p.waits(2 * time.Second)
	})
	t.Run("busy in answer to a probe", func(t *testing.T) {
		t.Parallel()
		p := newPatient(t)
		p.fail(5)
		p.waits(time.Second)
		p.ends(p.begins(), until(busy, time.Minute))
		p.isPaused(noon.Add(time.Minute))
		p.waits(59 * time.Second)
		p.flows()
	})
}

func TestPauseReason(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	asks := Verdict{Fault: true, Hold: noon.Add(day)}
	tests := map[string]struct {
		story  func(*patient)
		reason Reason
		until  time.Duration // after noon
	}{
		"new":                      {func(*patient) {}, "", 0},
		"four failures":            {func(p *patient) { p.fail(4) }, "", 0},
		"five failures":            {func(p *patient) { p.fail(5) }, Failures, time.Second},
		"a probe that failed":      {func(p *patient) { p.fail(5); p.waits(time.Second); p.fail(1) }, Failures, 3 * time.Second},
		"a probe under way":        {func(p *patient) { p.fail(5); p.waits(time.Second); p.begins() }, Failures, time.Second},
		"asked to wait":            {func(p *patient) { p.ends(p.begins(), asks) }, RetryRequested, day},
		"the wait is over":         {func(p *patient) { p.ends(p.begins(), asks); p.now = noon.Add(day) }, "", 0},
		"a probe is asked to wait": {func(p *patient) { p.fail(5); p.waits(time.Second); p.ends(p.begins(), asks) }, RetryRequested, day},
		"probed after the wait":    {func(p *patient) { p.fail(4); p.ends(p.begins(), asks); p.now = noon.Add(day) }, Failures, time.Second},
		"a replay ends the wait":   {func(p *patient) { p.ends(p.begins(), asks); p.ProbeNow(p.now) }, Failures, 0},
		"a probe got through":      {func(p *patient) { p.fail(5); p.waits(time.Second); p.ends(p.begins(), okay) }, "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t)
			tt.story(p)
			var want time.Time
			if tt.reason != "" {
				want = noon.Add(tt.until)
			}
			if reason, until := p.Reason(p.now); reason != tt.reason || !until.Equal(want) {
				t.Errorf("paused for the reason %q until %s; want %q until %s", reason, until, tt.reason, want)
			}
			if _, paused := p.Paused(p.now); paused != (tt.reason != "") {
				t.Errorf("paused is %v", paused)
			}
		})
	}
}
