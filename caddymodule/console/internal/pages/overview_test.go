package pages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
)

func TestOverview(t *testing.T) {
	s := newSite(t, map[string]backend{"clinic": status(http.StatusNoContent), "archive": status(http.StatusUnprocessableEntity)})
	page := s.page("")
	shows(t, page, `<noscript><meta http-equiv="refresh" content="3"></noscript>`, "All upstreams accept events", `<span class="name">clinic</span>`, "No event has been received yet", "alice", `<a href="./" aria-current="page">Overview</a>`)
	lacks(t, page, "read only", "tally")

	s.store("first")
	s.store("strange", setAside(queue.Quarantined, "created_at is missing"))
	s.store("nowhere", setAside(queue.Unrouted, ""))
	s.wait("the delivery to fail", func(st admin.Status) bool {
		return upstream(st, "archive").Dead == 1 && upstream(st, "clinic").LastSuccess != nil
	})
	activity.Process.Rejected("soniox", verifier.AuthMismatch, "203.0.113.7", time.Now())
	activity.Process.BeginProvider("soniox")
	activity.Process.Genuine("soapnoteapi", time.Now())
	s.visitor.Acts = false
	page = s.page("")
	shows(t, page,
		"The last attempt at archive failed", "its last event is dead", "refused: Unprocessable Entity",
		`<a href="dead?upstream=archive">1</a>`, `<a href="dead">Dead <span class="tally bad">1</span></a>`,
		`<a href="quarantined">1 quarantined</a>`, `<a href="unrouted">1 unrouted</a>`,
		"1 delivered and 0 failed attempts in the last hour; at most 1 in a minute",
		`<a href="event?id=first">note.generated</a>`, `<a class="mono" href="events?q=subject-of-first"`,
		"<b>clinic</b> delivered", "<b>archive</b> dead, 1 attempt", "quarantined: created_at is missing",
		"auth_mismatch", "203.0.113.7", hints[verifier.AuthMismatch].Do, "last genuine request", "no genuine request since the start", "read only",
	)
}

// Where the queue cannot be read, the overview says so and shows what is known without it.
func TestBrokenQueue(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	err := fmt.Errorf("reading: %w: "+markup, queue.ErrUnavailable)
	s.fault.err.Store(&err)
	page := s.page("")
	shows(t, page, "Reading the queue: reading: the store cannot be used: &lt;b", `<span class="name">ehr</span>`)
	lacks(t, page, "All upstreams accept events", "<b onclick")
	for _, address := range []string{"events", "event?id=a", "dead", "unrouted", "preview?action=purge&id=a"} {
		got := s.ask(address, nil)
		if got.status != http.StatusServiceUnavailable {
			t.Errorf("%s: status %d", address, got.status)
		}
		shows(t, got.body, "The queue does not answer", "Events that were acknowledged are not lost", "Try again")
	}
	form := url.Values{"action": {"purge"}, "id": {"a"}, "token": {newToken(time.Now())}}
	if got := s.ask("act", form); got.status != http.StatusServiceUnavailable {
		t.Errorf("act: status %d", got.status)
	}
	s.fault.err.Store(nil)
	shows(t, s.page(""), "All upstreams accept events")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	p := &Pages{logger: zap.NewNop()}
	for want, err := range map[string]error{
		"503 The queue does not answer":        gateway.Unanswered{},
		"503 The queue did not answer in time": fmt.Errorf("listing: %w", context.DeadlineExceeded),
		"400 The address is not valid":         fmt.Errorf("%w: the cursor is not valid", queue.ErrInvalid),
		"500 The page cannot be shown":         errors.New("a defect"),
		"404 There is no such page":            failure{http.StatusNotFound, "There is no such page", ""},
	} {
		v := &visit{Request: httptest.NewRequest(http.MethodGet, "/", nil)}
		if c := p.failed(v, err); fmt.Sprint(c.status, " ", c.title) != want {
			t.Errorf("%v: %d %s, want %s", err, c.status, c.title, want)
		}
	}
}

// Every part of the overview is well-formed, whatever there is to show.
func TestFullOverview(t *testing.T) {
	t.Parallel()
	now := time.Now()
	logs := new(logging.Logs)
	p := &Pages{logs: logs}
	v := &visit{Request: httptest.NewRequest(http.MethodGet, "/", nil), now: now, state: &snapshot{status: admin.Status{
		Queue: admin.QueueStatus{
			Engine: "postgres", Bytes: 97, MaxBytes: 100, Unreadable: 1, Quarantined: 1, Unrouted: 1, Unconfirmed: 1,
			Nodes:    []admin.NodeStatus{{Name: markup, LastSeen: now, Leased: 1200}, {Name: "gateway-2", LastSeen: now.Add(-8 * time.Second)}},
			Database: &admin.DatabaseStatus{RoundTripSeconds: 0.0004, Standbys: []admin.StandbyStatus{{Name: markup, StandbyLag: &admin.StandbyLag{Synchronous: true, LagBytes: 2048}}}},
		},
		Upstreams: []admin.UpstreamStatus{
			{Name: "ehr", Pending: 1200, InFlight: 3, Dead: 4, OldestPendingSeconds: 100, Paused: true, PauseReason: forwarder.Failures, PausedUntil: &now, LastSuccess: &now, LastFailure: &admin.Failure{At: now, Outcome: queue.Timeout}},
			{Name: "old", Orphaned: true, Pending: 1},
		},
		APIs: []admin.APIStatus{
			{Provider: "soniox", Source: markup, Pending: 5, InFlight: 1, Cleanups: 6, Configured: true, OldestPendingSeconds: 9, LastSuccess: &now, LastFailure: &admin.APIFailure{At: now, Reason: "unauthorized", Status: 401}},
			{Provider: "soapnoteapi", Source: "a", Pending: 1},
			{Provider: "soniox", Source: "b", Configured: true, Paused: true, PauseReason: forwarder.RetryAfter, PausedUntil: &now, LastFailure: &admin.APIFailure{At: now, Reason: "unreachable"}},
		},
	}}}
	c, err := p.overview(v)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := render(&out, v, c); err != nil {
		t.Fatal(err)
	}
	checkHTML(t, "the overview", out.String())
	shows(t, out.String(),
		"APIs of the providers", "the key was refused: check api_key and api_base", "unreachable", "has no api_key", "paused at its request", "97.0 %", "1,200",
		"1 event cannot be read", "no longer configured", "4 dead", "1 quarantined", "1 unrouted", "1 unconfirmed", "&lt;b onclick",
		"Gateways that share it", "<dt>gateway-2</dt><dd>0 leased", "400µs", "synchronous, 2.0 KiB behind",
	)
}

func TestEveryReasonHasAHint(t *testing.T) {
	t.Parallel()
	for _, r := range verifier.Reasons {
		if hints[r].Means == "" || hints[r].Do == "" {
			t.Errorf("%s has no hint", r)
		}
	}
	if len(hints) != len(verifier.Reasons) {
		t.Errorf("%d hints for %d reasons", len(hints), len(verifier.Reasons))
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	failed := func(d time.Duration) *admin.Failure {
		return &admin.Failure{At: now.Add(-d), Outcome: queue.Failure, Status: 500}
	}
	fine := admin.UpstreamStatus{Name: "ehr", LastSuccess: before(time.Second)}
	probed := admin.UpstreamStatus{
		Name: "lab", Pending: 3, Paused: true, PauseReason: forwarder.Failures, PausedUntil: before(-12 * time.Second), OldestPendingSeconds: 720,
		LastSuccess: before(time.Hour), LastFailure: failed(time.Second),
	}
	asked := admin.UpstreamStatus{Name: "hub", Pending: 1, Paused: true, PauseReason: forwarder.RetryAfter, PausedUntil: before(-time.Hour)}
	gone := admin.UpstreamStatus{Name: "old", Pending: 2, Orphaned: true}
	of := func(all ...admin.UpstreamStatus) snapshot { return snapshot{status: admin.Status{Upstreams: all}} }
	with := func(change func(*snapshot)) snapshot { s := of(fine); change(&s); return s }
	for name, c := range map[string]struct {
		snapshot
		tone         tone
		text, spoken string
		others       int
	}{
		"all is well":             {of(fine), good, "All upstreams accept events", "All upstreams accept events", 0},
		"no upstream":             {of(), quiet, "No upstream is configured", "No upstream is configured", 0},
		"paused after failures":   {of(fine, probed), bad, "lab has not accepted an event for 12 min", "lab does not accept events", 0},
		"the worst comes first":   {of(asked, gone, probed), bad, "lab has not accepted an event for 12 min", "lab does not accept events", 2},
		"paused at its request":   {of(asked), warn, "hub asked for a pause " + until(asked.PausedUntil, now), "hub asked for a pause", 0},
		"no longer configured":    {of(fine, gone), warn, "old is no longer configured: 2 events wait for it", "old is no longer configured", 0},
		"the last attempt failed": {of(admin.UpstreamStatus{Name: "lab", Pending: 1, LastFailure: failed(5 * time.Second)}), warn, "The last attempt at lab failed 5 s ago", "The last attempt at lab failed", 0},
		"it failed and recovered": {of(admin.UpstreamStatus{Name: "lab", Pending: 1, LastFailure: failed(5 * time.Second), LastSuccess: before(time.Second)}), good, "All upstreams accept events", "All upstreams accept events", 0},
		"events are refused":      {with(func(s *snapshot) { s.ready = errors.New("events are refused: the disk is full") }), bad, "Events are refused: the disk is full.", "Events are refused: the disk is full.", 0},
		"nearly full":             {with(func(s *snapshot) { s.status.Queue.Bytes, s.status.Queue.MaxBytes = 85, 100 }), warn, "The store is 85 % full: beyond its limit, events are refused", "The store is nearly full", 0},
		"an API is paused": {with(func(s *snapshot) {
			s.status.APIs = []admin.APIStatus{{Provider: "soniox", Configured: true, Paused: true, PauseReason: forwarder.Failures}}
		}), bad, "soniox's API does not answer as it should: its events wait", "soniox's API does not answer as it should: its events wait", 0},
		"an API lost its key":     {with(func(s *snapshot) { s.status.APIs = []admin.APIStatus{{Provider: "soniox", Source: "a", Pending: 1}} }), warn, "1 event waits for soniox's API, and no handler of a has an api_key", "1 event waits for soniox's API, and no handler of a has an api_key", 0},
		"unreadable events":       {with(func(s *snapshot) { s.status.Queue.Unreadable = 2 }), bad, "2 events cannot be read: the queue's file is damaged: see the log for the place, check the disk, and see Damage in the documentation", "Events cannot be read", 0},
		"never accepted an event": {of(admin.UpstreamStatus{Name: "lab", Paused: true, PauseReason: forwarder.Failures}), bad, "lab has accepted no event since the start", "lab does not accept events", 0},
		"accepted long ago, idle": {of(admin.UpstreamStatus{Name: "lab", Pending: 1, OldestPendingSeconds: 60, Paused: true, PauseReason: forwarder.Failures, LastSuccess: before(72 * time.Hour)}), bad, "lab has not accepted an event for 1 min", "lab does not accept events", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := judge(&c.snapshot, now)
			if v.Tone != c.tone || v.Text != c.text || v.Spoken != c.spoken || len(v.Others) != c.others {
				t.Errorf("%s %q, spoken %q, and %d others; want %s %q, %q and %d", v.Tone, v.Text, v.Spoken, len(v.Others), c.tone, c.text, c.spoken, c.others)
			}
		})
	}
}

// A problem leads to the events that it is about.
func TestProblemLinks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	failure := &admin.Failure{At: now, Outcome: queue.Failure, Status: 422}
	for want, u := range map[string]admin.UpstreamStatus{
		"events?state=pending&upstream=fails": {Name: "fails", Pending: 1, Dead: 1, LastFailure: failure},
		"dead?upstream=died":                  {Name: "died", Dead: 1, LastFailure: failure},
		"events?state=pending&upstream=old":   {Name: "old", Pending: 1, Dead: 1, Orphaned: true},
		"dead?upstream=older":                 {Name: "older", Dead: 2, Orphaned: true},
		"events?upstream=away":                {Name: "away", Paused: true, PauseReason: forwarder.Failures},
	} {
		if p := ofUpstream(u, now); p.Href != want {
			t.Errorf("%s: %q leads to %s, want %s", u.Name, p.Text, p.Href, want)
		}
	}
	if p, want := ofUpstream(admin.UpstreamStatus{Name: "older", Dead: 2, Orphaned: true}, now), "older is no longer configured: 2 deliveries to it are dead"; p.Text != want {
		t.Errorf("%q, want %q", p.Text, want)
	}
}

func TestStateOfUpstream(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 12, 0, 0, 0, time.UTC)
	soon, past := now.Add(11500*time.Millisecond), now.Add(-time.Second)
	for want, u := range map[string]admin.UpstreamStatus{
		"idle: ":       {LastSuccess: new(now.Add(-time.Minute))},
		"delivering: ": {InFlight: 1, Pending: 1},
		"waiting: for the next attempt or the provider's API":                            {Pending: 1},
		"paused after failures: next probe in 12 s":                                      {Paused: true, PauseReason: forwarder.Failures, PausedUntil: &soon},
		"paused after failures: a probe is under way, or waits for an event that is due": {Paused: true, PauseReason: forwarder.Failures, PausedUntil: &past},
		"paused at its request: until " + ahead(soon, now):                               {Paused: true, PauseReason: forwarder.RetryAfter, PausedUntil: &soon},
		"no longer configured: define it again, or purge its events":                     {Orphaned: true, Pending: 1},
		"failing: the last attempt failed; attempts go on":                               {Pending: 1, LastFailure: &admin.Failure{At: past}},
		"failing: its last event is dead":                                                {Dead: 1, LastFailure: &admin.Failure{At: past}},
	} {
		_, state, detail := stateOf(u, now)
		if got := state + ": " + detail; got != want {
			t.Errorf("%+v is %q, want %q", u, got, want)
		}
	}
}

// The columns of a chart are at most as high as the chart, and a single failure is seen.
func TestChart(t *testing.T) {
	t.Parallel()
	var h activity.Hour
	h.Minutes[58].Delivered, h.Minutes[59].Delivered, h.Minutes[59].Failed = 500, 1000, 1
	h.Delivered, h.Failed = 1500, 1
	c := newChart(h)
	if c.Delivered != "M58 26v-13.0h.8V26zM59 26v-26.0h.8V26z" || c.Failed != "M59 26v2.0h.8V26z" {
		t.Errorf("paths %q and %q", c.Delivered, c.Failed)
	}
	if want := "1,500 delivered and 1 failed attempt in the last hour; at most 1,000 in a minute"; c.Text != want {
		t.Errorf("%q, want %q", c.Text, want)
	}
	if c := newChart(activity.Hour{}); c.Delivered != "" || c.Failed != "" || c.Text == "" {
		t.Errorf("of an hour without activity: %+v", c)
	}
}

// wait waits for a state of the gateway.
func (s *site) wait(what string, reached func(admin.Status) bool) {
	s.Helper()
	commandtest.WaitUntil(s.TB, what, func() bool {
		st, err := s.gateway.Status(time.Now())
		return err == nil && reached(st)
	})
}

// upstream returns the status of an upstream.
func upstream(st admin.Status, name string) admin.UpstreamStatus {
	for _, u := range st.Upstreams {
		if u.Name == name {
			return u
		}
	}
	return admin.UpstreamStatus{}
}

// All tabs together have the gateway asked once in 2 s.
func TestOneSnapshot(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	s.page("")
	first := s.pages.snapshot(&visit{Request: httptest.NewRequest(http.MethodGet, "/", nil), gateway: s.gateway})
	for range 100 {
		part := s.part("")
		shows(t, part, `<section id="verdict"`, `<nav id="nav"`, `<p id="freshness"`)
		lacks(t, part, "<header", "<main", "stylesheet")
	}
	if again := s.pages.snapshot(&visit{Request: httptest.NewRequest(http.MethodGet, "/", nil), gateway: s.gateway}); again != first && again.at.Sub(first.at) < snapshots.MaxAge {
		t.Error("the gateway was asked again")
	}
}
