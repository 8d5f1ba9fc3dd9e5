package forwarder

import (
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestScheduleAfter(t *testing.T) {
	t.Parallel()
	three := schedule{5 * time.Second, 30 * time.Second, 2 * time.Hour}
	var (
		failed    = verdict{result: queue.Failure, used: true}
		busy      = verdict{result: queue.Failure}
		unreached = verdict{result: queue.ConnectError, upstreamFault: true, unreached: true}
	)
	holding := func(v verdict, d time.Duration) verdict {
		v.hold = noon.Add(d)
		return v
	}
	tests := []struct {
		name     string
		schedule schedule
		verdict  verdict
		used     int
		state    queue.State
		wait     time.Duration
	}{
		{"success", three, verdict{result: queue.Success, used: true}, 0, queue.Delivered, 0},
		{"success at the last attempt", three, verdict{result: queue.Success, used: true}, 3, queue.Delivered, 0},
		{"gone", three, verdict{result: queue.Gone, used: true, dead: true}, 0, queue.Dead, 0},
		{"first failure", three, failed, 0, queue.Pending, 5 * time.Second},
		{"second failure", three, failed, 1, queue.Pending, 30 * time.Second},
		{"third failure", three, failed, 2, queue.Pending, 2 * time.Hour},
		{"fourth failure", three, failed, 3, queue.Dead, 0},
		{"a failure more than there are attempts", three, failed, 4, queue.Dead, 0},
		{"failure without waits", schedule{}, failed, 0, queue.Dead, 0},

		{"failure, asked to wait longer", three, holding(failed, time.Minute), 0, queue.Pending, time.Minute},
		{"failure, asked to wait shorter", three, holding(failed, time.Second), 0, queue.Pending, 5 * time.Second},
		{"last failure, asked to wait", three, holding(failed, time.Minute), 3, queue.Dead, 0},

		{"busy", three, busy, 0, queue.Pending, 5 * time.Second},
		{"busy at a later step", three, busy, 2, queue.Pending, 2 * time.Hour},
		{"busy after the last step", three, busy, 3, queue.Pending, 2 * time.Hour},
		{"busy, asked to wait longer", three, holding(busy, time.Hour), 0, queue.Pending, time.Hour},
		{"busy, asked to wait shorter", three, holding(busy, time.Second), 2, queue.Pending, time.Second},
		{"busy without waits", schedule{}, busy, 0, queue.Pending, 5 * time.Second},

		{"unreached", three, unreached, 0, queue.Pending, time.Second},
		{"unreached at a long step", three, unreached, 2, queue.Pending, time.Second},
		{"unreached after the last step", three, unreached, 3, queue.Pending, time.Second},
		{"unreached at a short step", schedule{time.Millisecond}, unreached, 0, queue.Pending, time.Millisecond},
		{"unreached without waits", schedule{}, unreached, 0, queue.Pending, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			state, next := tt.schedule.after(tt.verdict, tt.used, noon, 0.5)
			if state != tt.state {
				t.Errorf("state = %s, want %s", state, tt.state)
			}
			var want time.Time
			if tt.state == queue.Pending {
				want = noon.Add(tt.wait)
			}
			if !next.Equal(want) {
				t.Errorf("next = %v, want %v", next, want)
			}
		})
	}
}

func TestScheduleJitter(t *testing.T) {
	t.Parallel()
	hour := schedule{time.Hour}
	failed := verdict{result: queue.Failure, used: true}
	unreached := verdict{result: queue.ConnectError, unreached: true}
	tests := []struct {
		name    string
		verdict verdict
		random  float64
		want    time.Duration
	}{
		{"least", failed, 0, 54 * time.Minute},
		{"none", failed, 0.5, 60 * time.Minute},
		{"a quarter up", failed, 0.75, 63 * time.Minute},
		{"unreached, least", unreached, 0, 900 * time.Millisecond},
		{"unreached, never more than a second", unreached, 0.99, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := hour.wait(tt.verdict, 0, tt.random)
			if diff := (got - tt.want).Abs(); diff > time.Microsecond {
				t.Errorf("wait = %s, want %s", got, tt.want)
			}
		})
	}
	if got := hour.wait(failed, 0, 0.999999); got < 65*time.Minute || got > 66*time.Minute {
		t.Errorf("the longest wait is %s, want just under 66m", got)
	}
}

// The waits a user gets by default are those that the documentation names.
func TestDefaultRetry(t *testing.T) {
	t.Parallel()
	want := []string{"5s", "30s", "2m0s", "10m0s", "30m0s", "1h0m0s", "2h0m0s", "4h0m0s", "8h0m0s"}
	if len(DefaultRetry) != len(want) {
		t.Fatalf("%d waits, want %d", len(DefaultRetry), len(want))
	}
	for i, wait := range DefaultRetry {
		if wait.String() != want[i] {
			t.Errorf("wait %d is %s, want %s", i, wait, want[i])
		}
	}
}
