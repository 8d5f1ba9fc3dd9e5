package forwarder

import (
	"testing"
	"time"
)

func TestAgenda(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	ask := func(a *agenda, now time.Time, more bool, next time.Time) {
		a.asking(now)
		a.asked(now, more, next)
	}
	tests := []struct {
		name string
		do   func(a *agenda)
		want time.Duration // from noon; 0 is at once
	}{
		{"begins at once", func(*agenda) {}, 0},
		{"nothing there", func(a *agenda) { ask(a, noon, false, time.Time{}) }, maxCheck},
		{"more there", func(a *agenda) { ask(a, noon, true, time.Time{}) }, 0},
		{"something later", func(a *agenda) { ask(a, noon, false, at(time.Second)) }, time.Second},
		{"something much later", func(a *agenda) { ask(a, noon, false, at(time.Hour)) }, maxCheck},
		{"something that was due and not to be had", func(a *agenda) { ask(a, noon, false, noon) }, minCheck},
		{"woken", func(a *agenda) { ask(a, noon, false, time.Time{}); a.wake() }, 0},
		{"woken while asking", func(a *agenda) {
			a.asking(noon)
			a.wake()
			a.asked(noon, false, time.Time{})
		}, 0},
		{"queue failed", func(a *agenda) { a.asking(noon); a.failed(noon) }, queueBackoff},
		{"woken after the queue failed", func(a *agenda) { a.asking(noon); a.failed(noon); a.wake() }, queueBackoff},
		{"put off, looked at soon", func(a *agenda) {
			ask(a, noon, false, time.Time{})
			a.postpone(noon, at(5*time.Second))
		}, minCheck},
		{"put off for less than that", func(a *agenda) {
			ask(a, noon, false, time.Time{})
			a.postpone(noon, at(time.Millisecond))
		}, time.Millisecond},
		{"put off, not yet written down when asked", func(a *agenda) {
			ask(a, at(-3*time.Second), false, time.Time{})
			a.postpone(at(-3*time.Second), at(2*time.Second))
			ask(a, noon, false, time.Time{})
		}, 2 * time.Second},
		{"put off, missed when due", func(a *agenda) {
			ask(a, at(-time.Second), false, time.Time{})
			a.postpone(at(-time.Second), noon)
			ask(a, noon, false, time.Time{})
		}, time.Second},
		{"put off long ago", func(a *agenda) {
			a.postpone(at(-time.Hour), at(-50*time.Minute))
			ask(a, noon, false, time.Time{})
		}, maxCheck},
		{"two put off, the earlier counts", func(a *agenda) {
			a.postpone(at(-time.Hour), at(3*time.Second))
			a.postpone(at(-time.Hour), at(2*time.Second))
			a.postpone(at(-time.Hour), at(4*time.Second))
			ask(a, noon, false, at(5*time.Second))
		}, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a agenda
			tt.do(&a)
			ready, when := a.ready(noon)
			if ready != (tt.want == 0) {
				t.Fatalf("ready = %v, %v", ready, when)
			}
			if ready {
				return
			}
			if !when.Equal(at(tt.want)) {
				t.Errorf("when = noon + %s, want noon + %s", when.Sub(noon), tt.want)
			}
			if ready, _ := a.ready(when); !ready {
				t.Error("not ready when it says it will be")
			}
		})
	}
}
