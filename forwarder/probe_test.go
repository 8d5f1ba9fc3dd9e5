package forwarder

import (
	"testing"
	"time"
)

// Whoever knows that an upstream is back need not wait for its next probe, nor
// for the end of a pause that it asked for. There is still one probe, and what it
// meets decides.
func TestPauseProbeNow(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(1773934200, 0)
	paused := func(v verdict) *pause {
		p := new(pause)
		for range failureLimit {
			p.end(ticket{}, v, nil, t0)
		}
		return p
	}
	failed := verdict{upstreamFault: true}
	tests := []struct {
		name string
		p    *pause
		want bool // whether a probe may begin at once
	}{
		{"not paused", new(pause), true},
		{"paused by failures", paused(failed), true},
		{"asked to be left alone", paused(verdict{upstreamFault: true, hold: t0.Add(24 * time.Hour)}), true},
		{"asked to be left alone, and has not failed", paused(verdict{hold: t0.Add(24 * time.Hour)}), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, was := tt.p.paused(t0)
			tt.p.probeNow(t0)
			ticket, ok := tt.p.begin(t0)
			if ok != tt.want || ticket.probe != was {
				t.Fatalf("begin: %+v, %v", ticket, ok)
			}
			if !was {
				return
			}
			if _, second := tt.p.begin(t0); second {
				t.Error("there are two probes at once")
			}
			tt.p.end(ticket, failed, nil, t0)
			if _, still := tt.p.paused(t0); !still {
				t.Error("a probe that failed has ended the pause")
			}
		})
	}
}
