package operate

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

var alice = audit.Actor{By: "192.0.2.1:1", User: "alice", Origin: "https://ops.example.com"}

// paused returns the names of the paused upstreams.
func (f *fixture) paused() (names []string) {
	f.Helper()
	s, err := f.gateway.Status(f.record("a").ReceivedAt)
	if err != nil {
		f.Fatal(err)
	}
	for _, u := range s.Upstreams {
		if u.Paused {
			names = append(names, u.Name)
		}
	}
	return names
}

// A replay probes the upstreams that it is for.
func TestReplayProbes(t *testing.T) {
	f := start(t, http.StatusServiceUnavailable)
	f.store("a", "", "ehr", "lab")
	commandtest.WaitUntil(t, "both upstreams to be paused", func() bool { return len(f.paused()) == 2 })
	f.await("a", "ehr", queue.Pending)
	f.await("a", "lab", queue.Pending)
	f.store("due", "", "ehr")
	f.ehr.status.Store(http.StatusNoContent)
	f.lab.status.Store(http.StatusNoContent)

	r := Replay{ReplaySelection: queue.ReplaySelection{IDs: []string{"a"}, Upstreams: []string{"lab"}}}
	if done, err := f.Replay(t.Context(), f.gateway, r, alice); err != nil || done.Replayed != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	f.await("a", "lab", queue.Delivered)
	commandtest.WaitUntil(t, "the end of the pause", func() bool { return fmt.Sprint(f.paused()) == "[ehr]" })
	if n := f.ehr.calls.Load(); n != 1 {
		t.Errorf("the other upstream was called %d times", n)
	}

	f.lab.status.Store(http.StatusServiceUnavailable)
	f.store("b", "", "lab")
	commandtest.WaitUntil(t, "both upstreams to be paused", func() bool { return len(f.paused()) == 2 })
	f.await("b", "lab", queue.Pending)
	f.lab.status.Store(http.StatusNoContent)
	for _, id := range []string{"a", "b"} {
		if _, err := f.Replay(t.Context(), f.gateway, Replay{ReplaySelection: queue.ReplaySelection{IDs: []string{id}, Upstreams: map[string][]string{"a": {"ehr"}}[id]}}, alice); err != nil {
			t.Fatal(err)
		}
	}
	f.await("a", "ehr", queue.Delivered)
	f.await("b", "lab", queue.Delivered)
	if lines := f.audited(); len(lines) != 3 || lines[2]["upstream"] != nil || lines[1]["upstream"] != "ehr" {
		t.Errorf("audited: %v", lines)
	}
}

// A gateway that closes ends a replay or a purge early. The audit trail has the part that was
// done, and has it before the end of the configuration, which closes the log.
func TestStopped(t *testing.T) {
	const stored = 1000
	for count, run := range map[string]func(*fixture, queue.Progress) error{
		"events": func(f *fixture, p queue.Progress) error {
			_, err := f.Purge(t.Context(), f.gateway, Purge{PurgeSelection: queue.PurgeSelection{State: queue.Unrouted, Progress: p}}, alice)
			return err
		},
		"deliveries": func(f *fixture, p queue.Progress) error {
			f.route = []string{"ehr"}
			_, err := f.Replay(t.Context(), f.gateway, Replay{ReplaySelection: queue.ReplaySelection{State: queue.Unrouted, Progress: p}}, alice)
			return err
		},
	} {
		t.Run(count, func(t *testing.T) {
			f := start(t, http.StatusServiceUnavailable)
			for i := range stored {
				f.store(fmt.Sprint("unrouted-", i), queue.Unrouted)
			}
			released := make(chan int, 1)
			var once sync.Once
			err := run(f, func(done, _ int64) {
				if done == 0 {
					return
				}
				once.Do(func() {
					go func() {
						_ = f.lease.Release()
						released <- len(f.audited())
					}()
				})
				commandtest.WaitUntil(t, "the gateway to close", func() bool { return gateway.Current() == nil })
			})
			if !errors.Is(err, queue.ErrClosed) {
				t.Errorf("error %v", err)
			}
			lines := f.audited()
			if len(lines) != 1 || lines[0]["unfinished"] != true || lines[0]["user"] != "alice" {
				t.Fatalf("audited: %v", lines)
			}
			if n, _ := lines[0][count].(int64); n == 0 || n == stored {
				t.Errorf("%d of %d are done", n, stored)
			}
			if lines := <-released; lines != 1 {
				t.Errorf("%d lines were written before the end of the configuration", lines)
			}
		})
	}
}

// What the queue or the operator refuses changes nothing, and has no line.
func TestRefused(t *testing.T) {
	f := start(t, http.StatusServiceUnavailable)
	f.store("a", "", "ehr")
	f.store("unrouted", queue.Unrouted)
	all := func(queue.Record, *queue.DeliveryRecord) bool { return true }
	replays := map[string]queue.ReplaySelection{
		"unknown":             {IDs: []string{"x"}},
		"no kind":             {},
		"undescribed":         {State: queue.Dead, Match: all},
		"not configured":      {State: queue.Dead, Upstreams: []string{"old"}},
		"an empty upstream":   {State: queue.Dead, Upstreams: []string{""}},
		"without an upstream": {IDs: []string{"unrouted"}},
	}
	for name, s := range replays {
		if _, err := f.Replay(t.Context(), f.gateway, Replay{ReplaySelection: s}, alice); err == nil {
			t.Errorf("a replay that is %s returns no error", name)
		}
	}
	purges := map[string]queue.PurgeSelection{
		"unknown":     {IDs: []string{"x"}},
		"no kind":     {},
		"undescribed": {State: queue.Dead, Match: all},
		"waited for":  {IDs: []string{"a"}},
	}
	for name, s := range purges {
		if _, err := f.Purge(t.Context(), f.gateway, Purge{PurgeSelection: s}, alice); err == nil {
			t.Errorf("a purge that is %s returns no error", name)
		}
	}
	dry := Purge{PurgeSelection: queue.PurgeSelection{State: queue.Unrouted, DryRun: true}}
	if done, err := f.Purge(t.Context(), f.gateway, dry, alice); err != nil || done.Purged != 1 {
		t.Errorf("a dry run: %+v, %v", done, err)
	}
	if n := f.lines.Len(); n != 0 {
		t.Errorf("%d lines: %v", n, f.lines.All())
	}
	f.record("a")
	f.record("unrouted")
}

// The errors say what to do about an event that no upstream accepts, and about an upstream
// that is not configured.
func TestErrorsOfReplays(t *testing.T) {
	f := start(t, http.StatusNoContent)
	f.store("unrouted", queue.Unrouted)
	_, err := f.Replay(t.Context(), f.gateway, Replay{ReplaySelection: queue.ReplaySelection{IDs: []string{"unrouted"}}}, alice)
	if want := "event unrouted: " + queue.ErrUnrouted.Error() + "; " + admin.RouteHint; err == nil || !errors.Is(err, queue.ErrUnrouted) || err.Error() != "replaying: "+want {
		t.Errorf("%v, want %q", err, want)
	}
	f.route = []string{"ehr"}
	if done, err := f.Replay(t.Context(), f.gateway, Group{State: queue.Unrouted, Until: f.record("unrouted").EndedAt}.Replay(), alice); err != nil || done.Replayed != 1 {
		t.Errorf("a replay of the group: %+v, %v", done, err)
	}
	f.await("unrouted", "ehr", queue.Delivered)
}

// An operation on a group is described in the audit trail: what was selected, and by whom.
func TestAuditOfGroups(t *testing.T) {
	f := start(t, http.StatusGone)
	f.store("a", "", "ehr", "lab")
	f.store("b", "", "lab")
	f.store("quarantined", queue.Quarantined)
	f.await("a", "ehr", queue.Dead)
	f.await("a", "lab", queue.Dead)
	r, d := f.await("b", "lab", queue.Dead)
	cause, until := CauseOf(r, d), Since(r, d)
	dead := Group{State: queue.Dead, Cause: &cause, IDs: []string{"a", "b", "unknown"}, Until: until}
	when := until.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	who := func(want map[string]any) map[string]any {
		want["by"], want["user"], want["origin"] = alice.By, "alice", alice.Origin
		return want
	}
	check := func(want map[string]any) {
		t.Helper()
		lines := f.audited()
		if got := lines[len(lines)-1]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("audited:\n%v, want\n%v", got, want)
		}
	}

	f.ehr.status.Store(http.StatusNoContent)
	f.lab.status.Store(http.StatusNoContent)
	if done, err := f.Replay(t.Context(), f.gateway, dead.Replay(), alice); err != nil || done.Replayed != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	check(who(map[string]any{
		"msg": "replayed", "selection": "dead", "event_ids": []any{"a", "b", "unknown"}, "upstream": "lab", "outcome": "gone", "status": 410, "until": when,
		"deliveries": 2, "without_payload": 0,
	}))
	f.await("a", "lab", queue.Delivered)
	f.await("a", "ehr", queue.Dead)

	r, d = f.await("a", "ehr", queue.Dead)
	cause = CauseOf(r, d)
	dead = Group{State: queue.Dead, Cause: &cause, Until: Since(r, d)}
	when = dead.Until.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	if done, err := f.Purge(t.Context(), f.gateway, dead.Purge(), alice); err != nil || done.Purged != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	check(who(map[string]any{"msg": "purged", "selection": "dead", "upstream": "ehr", "outcome": "gone", "status": 410, "until": when, "events": 1}))

	r = f.record("quarantined")
	cause = CauseOf(r, nil)
	when = r.EndedAt.Format("2006-01-02T15:04:05.999999999Z07:00")
	if done, err := f.Purge(t.Context(), f.gateway, Group{State: queue.Quarantined, Cause: &cause, Until: r.EndedAt}.Purge(), audit.Actor{By: "@"}); err != nil || done.Purged != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	check(map[string]any{"msg": "purged", "selection": "quarantined", "reason": "a reason", "until": when, "events": 1, "by": "@"})

	if logged := f.lines.FilterLoggerName("log"); logged.Len() != 3 || logged.FilterField(zap.String("user", "alice")).Len() != 2 {
		t.Errorf("logged: %v", logged.All())
	}
}
