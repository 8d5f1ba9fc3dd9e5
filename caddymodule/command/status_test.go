package command

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestStatusCells(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	ahead, past := now.Add(90*time.Second), now.Add(-time.Second)
	for name, tt := range map[string]struct {
		status         admin.UpstreamStatus
		paused, failed string
	}{
		"nothing happened":  {admin.UpstreamStatus{}, "no", "-"},
		"to be probed":      {admin.UpstreamStatus{Paused: true, PauseReason: forwarder.Failures, PausedUntil: &ahead}, "yes, probe in 1m", "-"},
		"probed now":        {admin.UpstreamStatus{Paused: true, PauseReason: forwarder.Failures, PausedUntil: &past}, "yes, probe due", "-"},
		"too many requests": {admin.UpstreamStatus{Paused: true, PauseReason: forwarder.RetryAfter, PausedUntil: &ahead}, "yes, for 1m, as requested", "-"},
		"an older server":   {admin.UpstreamStatus{Paused: true}, "yes", "-"},
		"a status":          {admin.UpstreamStatus{LastFailure: &admin.Failure{At: past, Outcome: queue.Failure, Status: 500}}, "no", "1s ago: status 500"},
		"not reachable":     {admin.UpstreamStatus{LastFailure: &admin.Failure{At: past, Outcome: queue.ConnectError}}, "no", "1s ago: no connection"},
		"too slow":          {admin.UpstreamStatus{LastFailure: &admin.Failure{At: past, Outcome: queue.Timeout}}, "no", "1s ago: timeout"},
		"broken off":        {admin.UpstreamStatus{LastFailure: &admin.Failure{At: past, Outcome: queue.Failure}}, "no", "1s ago: no answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := upstreamCells(tt.status, now)
			if c["PAUSED"].String() != tt.paused || c["LAST FAILURE"].String() != tt.failed {
				t.Errorf("paused %q, last failure %q; want %q and %q", c["PAUSED"].String(), c["LAST FAILURE"].String(), tt.paused, tt.failed)
			}
		})
	}
}

func TestStatusNodes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	var out strings.Builder
	err := printNodes(&out, []admin.NodeStatus{{Name: "gateway-1", LastSeen: now.Add(-2 * time.Second), Leased: 7}, {Name: "gateway-2", LastSeen: now}}, now)
	want := [][]string{{}, {"NODE", "LEASED", "LAST", "SEEN"}, {"gateway-1", "7", "2s", "ago"}, {"gateway-2", "0", "0s", "ago"}}
	if got := commandtest.Rows(out.String()); err != nil || !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	out.Reset()
	printDatabase(&out, &admin.DatabaseStatus{RoundTripSeconds: 0.0004, Standbys: []admin.StandbyStatus{{Name: "db2", StandbyLag: &admin.StandbyLag{Synchronous: true}}, {Name: "db3"}}})
	if got := out.String(); !strings.HasPrefix(got, "\ndatabase: a request takes 400µs\nstandby db2: synchronous, has everything\nstandby db3: how far ") {
		t.Errorf("%q", got)
	}
	out.Reset()
	if printDatabase(&out, nil); out.String() != "" {
		t.Errorf("%q without a database", out.String())
	}
}
