package forwarder

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestStatusOfAPause(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	asks := verdict{result: queue.Failure, used: true, upstreamFault: true, hold: noon.Add(day)}
	tests := map[string]struct {
		story  func(*patient)
		reason PauseReason
		until  time.Duration // after noon
	}{
		"new":                      {func(*patient) {}, "", 0},
		"four failures":            {func(p *patient) { p.fail(4) }, "", 0},
		"five failures":            {func(p *patient) { p.fail(5) }, Failures, time.Second},
		"a probe that failed":      {func(p *patient) { p.fail(5); p.waits(time.Second); p.fail(1) }, Failures, 3 * time.Second},
		"a probe under way":        {func(p *patient) { p.fail(5); p.waits(time.Second); p.begins() }, Failures, time.Second},
		"asked to wait":            {func(p *patient) { p.ends(p.begins(), asks) }, RetryAfter, day},
		"the wait is over":         {func(p *patient) { p.ends(p.begins(), asks); p.now = noon.Add(day) }, "", 0},
		"a probe is asked to wait": {func(p *patient) { p.fail(5); p.waits(time.Second); p.ends(p.begins(), asks) }, RetryAfter, day},
		"probed after the wait":    {func(p *patient) { p.fail(4); p.ends(p.begins(), asks); p.now = noon.Add(day) }, Failures, time.Second},
		"a replay ends the wait":   {func(p *patient) { p.ends(p.begins(), asks); p.probeNow(p.now) }, Failures, 0},
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
			if reason, until := p.reason(p.now); reason != tt.reason || !until.Equal(want) {
				t.Errorf("paused for the reason %q until %s; want %q until %s", reason, until, tt.reason, want)
			}
			if _, paused := p.paused(p.now); paused != (tt.reason != "") {
				t.Errorf("paused is %v", paused)
			}
		})
	}
}

// The newest failure stays known after a success, and says what was answered.
func TestStatusOfTheLastFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(500))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{time.Minute, time.Minute}})
		began := time.Now()
		r.add("ehr", false)
		synctest.Wait()
		check := func(want UpstreamStatus) {
			t.Helper()
			want.Name = "ehr"
			if got := r.d.Status()[0]; got != want {
				t.Errorf("status = %+v\nwant %+v", got, want)
			}
		}
		check(UpstreamStatus{LastFailure: Failure{At: began, Result: queue.Failure, Status: 500}})
		s.now(refused)
		elapse(time.Minute)
		unreached := Failure{At: began.Add(time.Minute), Result: queue.ConnectError}
		check(UpstreamStatus{LastFailure: unreached})
		s.now(always(200))
		elapse(time.Second)
		check(UpstreamStatus{LastSuccess: began.Add(time.Minute + time.Second), LastFailure: unreached})
	})
}
