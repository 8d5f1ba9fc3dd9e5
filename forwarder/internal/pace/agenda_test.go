package pace

import (
	"testing"
	"time"
)

func TestAgenda(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	ask := func(a *Agenda, now time.Time, more bool, next time.Time) {
		a.Asking(now)
		a.Asked(now, more, next)
	}
	tests := []struct {
		name string
		do   func(a *Agenda)
		want time.Duration // from noon; 0 is at once
	}{
		{"begins at once", func(*Agenda) {}, 0},
		{"nothing there", func(a *Agenda) { ask(a, noon, false, time.Time{}) }, MaxCheck},
		{"more there", func(a *Agenda) { ask(a, noon, true, time.Time{}) }, 0},
		{"something later", func(a *Agenda) { ask(a, noon, false, at(time.Second)) }, time.Second},
		{"something much later", func(a *Agenda) { ask(a, noon, false, at(time.Hour)) }, MaxCheck},
		{"something that was due and not to be had", func(a *Agenda) { ask(a, noon, false, noon) }, MinCheck},
		{"woken", func(a *Agenda) { ask(a, noon, false, time.Time{}); a.Wake() }, 0},
		{"woken while asking", func(a *Agenda) {
			a.Asking(noon)
			a.Wake()
			a.Asked(noon, false, time.Time{})
		}, 0},
		{"queue failed", func(a *Agenda) { a.Asking(noon); a.Failed(noon) }, QueueBackoff},
		{"woken after the queue failed", func(a *Agenda) { a.Asking(noon); a.Failed(noon); a.Wake() }, QueueBackoff},
		{"put off, looked at soon", func(a *Agenda) {
			ask(a, noon, false, time.Time{})
			a.Postpone(noon, at(5*time.Second))
		}, MinCheck},
		{"put off for less than that", func(a *Agenda) {
			ask(a, noon, false, time.Time{})
			a.Postpone(noon, at(time.Millisecond))
		}, time.Millisecond},
		{"put off, not yet written down when asked", func(a *Agenda) {
			ask(a, at(-3*time.Second), false, time.Time{})
			a.Postpone(at(-3*time.Second), at(2*time.Second))
			ask(a, noon, false, time.Time{})
		}, 2 * time.Second},
		{"put off, missed when due", func(a *Agenda) {
			ask(a, at(-time.Second), false, time.Time{})
			a.Postpone(at(-time.Second), noon)
			ask(a, noon, false, time.Time{})
		}, time.Second},
		{"put off long ago", func(a *Agenda) {
			a.Postpone(at(-time.Hour), at(-50*time.Minute))
			ask(a, noon, false, time.Time{})
		}, MaxCheck},
		{"two put off, the earlier counts", func(a *Agenda) {
			a.Postpone(at(-time.Hour), at(3*time.Second))
			a.Postpone(at(-time.Hour), at(2*time.Second))
			a.Postpone(at(-time.Hour), at(4*time.Second))
			ask(a, noon, false, at(5*time.Second))
		}, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var a Agenda
			tt.do(&a)
			ready, when := a.Ready(noon)
			if ready != (tt.want == 0) {
				t.Fatalf("ready = %v, %v", ready, when)
			}
			if ready {
				return
			}
			if !when.Equal(at(tt.want)) {
				t.Errorf("when = noon + %s, want noon + %s", when.Sub(noon), tt.want)
			}
			if ready, _ := a.Ready(when); !ready {
				t.Error("not ready when it says it will be")
			}
		})
	}
}
