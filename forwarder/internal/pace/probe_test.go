package pace

import (
	"testing"
	"time"
)

// A probe can be requested at once, before the next one is due or a pause of Retry-After ends.
// There is still only one probe, and its result decides.
func TestPauseProbeNow(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(1773934200, 0)
	paused := func(v Verdict) *Pause {
		p := new(Pause)
		for range FailureLimit {
			p.End(Ticket{}, v, nil, t0)
		}
		return p
	}
	failed := Verdict{Fault: true}
	tests := []struct {
		name string
		p    *Pause
		want bool // whether a probe may begin at once
	}{
		{"not paused", new(Pause), true},
		{"paused by failures", paused(failed), true},
		{"asked to be left alone", paused(Verdict{Fault: true, Hold: t0.Add(24 * time.Hour)}), true},
		{"asked to be left alone, and has not failed", paused(Verdict{Hold: t0.Add(24 * time.Hour)}), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, was := tt.p.Paused(t0)
			tt.p.ProbeNow(t0)
			ticket, ok := tt.p.Begin(t0)
			if ok != tt.want || ticket.Probe != was {
				t.Fatalf("begin: %+v, %v", ticket, ok)
			}
			if !was {
				return
			}
			if _, second := tt.p.Begin(t0); second {
				t.Error("there are two probes at once")
			}
			tt.p.End(ticket, failed, nil, t0)
			if _, still := tt.p.Paused(t0); !still {
				t.Error("a probe that failed has ended the pause")
			}
		})
	}
}
