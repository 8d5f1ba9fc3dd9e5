package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// orphan stores an event for an upstream that is not configured, so that nobody
// but the test attempts it.
func orphan(t *testing.T, id string) {
	t.Helper()
	e := &event.Event{ID: id, Provider: "soapnoteapi", Type: "com.soapnoteapi.note.generated", ReceivedAt: time.Now()}
	if _, err := gateway.Current().Queue().Store(t.Context(), queue.Item{Event: e, Upstreams: []string{"old"}}); err != nil {
		t.Fatal(err)
	}
}

// attempt settles n attempts at the one event that waits for the orphaned
// upstream, the last of them in a state.
func attempt(t *testing.T, n int, last queue.State) {
	t.Helper()
	q := gateway.Current().Queue()
	for i := range n {
		o := queue.Outcome{At: time.Now(), Duration: 12 * time.Millisecond, Result: queue.Failure, Status: 503, Used: true, State: queue.Pending, Next: time.Now()}
		if i == n-1 {
			o.State = last
		}
		eventually(t, "a delivery to be due", func() bool {
			c, err := q.Claim("old", time.Now(), queue.Want{First: 1, Retry: 1})
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Deliveries) == 0 {
				return false
			}
			if d := c.Deliveries[0]; d.Attempts != i || d.Used != i {
				t.Fatalf("attempt %d of %d has %d made and %d used before it", i+1, n, d.Attempts, d.Used)
			}
			o.Delivery = c.Deliveries[0]
			return true
		})
		q.Settle(o)
	}
	eventually(t, "the attempts to be settled", func() bool {
		r, err := q.Event(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		return r.Deliveries[0].Attempts == n && r.Deliveries[0].State == last
	})
}

// history reads the attempts' numbers and remarks off a table.
func history(out string) string {
	_, table, _ := strings.Cut(out, "MEANING\n")
	var seen []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) > 1 && f[1] != "" && strings.Contains(f[1], "-") {
			seen = append(seen, f[0])
			continue
		}
		seen = append(seen, strings.TrimSpace(line))
	}
	return strings.Join(seen, ",")
}

func numbers(from, to int) string {
	var all []string
	for n := from; n <= to; n++ {
		all = append(all, fmt.Sprint(n))
	}
	return strings.Join(all, ",")
}

// show prints the whole history of an event, with the number of attempts that are not kept, and
// the replay that began it anew.
func TestShowPrintsTheWholeHistory(t *testing.T) {
	a := newAdminSite(t)
	orphan(t, "one")
	shown := func() (out string, d map[string]any) {
		t.Helper()
		out = a.command("show", "one").Done(t).Out
		var e map[string]any
		a.command("show", "one", "--json").Done(t).Decode(t, &e)
		return out, e["deliveries"].([]any)[0].(map[string]any)
	}
	check := func(step, head, table string, attempts, listed, leftOut float64) {
		t.Helper()
		out, d := shown()
		if !strings.Contains(out, head+"\n") || history(out) != table {
			t.Errorf("%s: printed\n%s\nwant %s and %s", step, out, head, table)
		}
		if l, _ := d["history"].([]any); d["attempts"] != attempts || float64(len(l)) != listed {
			t.Errorf("%s: %v attempts, %d listed; want %v and %v", step, d["attempts"], len(l), attempts, listed)
		}
		if n, ok := d["history_left_out"].(float64); n != leftOut || ok != (leftOut > 0) {
			t.Errorf("%s: %v left out, want %v", step, d["history_left_out"], leftOut)
		}
	}
	replay := func() {
		t.Helper()
		if done, err := gateway.Current().Queue().Replay(t.Context(), queue.ReplaySelection{IDs: []string{"one"}}); done.Deliveries != 1 || err != nil {
			t.Errorf("Replay: %+v, %v", done, err)
		}
	}
	check("new", "old: pending after 0 attempts\nthe upstream is no longer configured: define it again, or purge its events", "", 0, 0, 0)
	attempt(t, 2, queue.Dead)
	check("dead", "old: dead after 2 attempts", "1,2", 2, 2, 0)
	replay()
	check("replayed", "old: pending after 0 attempts", "1,2,replayed: not attempted since", 0, 2, 0)
	attempt(t, 3, queue.Dead)
	check("dead again", "old: dead after 3 attempts", "1,2,replayed: attempts are counted from 1 again,1,2,3", 3, 5, 0)
	replay()
	attempt(t, 46, queue.Dead)
	check("one too many", "old: dead after 46 attempts",
		"1 earlier attempt left out: the newest 50 are kept,2,replayed: attempts are counted from 1 again,1,2,3,replayed: attempts are counted from 1 again,"+numbers(1, 46), 46, 50, 1)
	replay()
	attempt(t, 50, queue.Dead)
	check("just full", "old: dead after 50 attempts",
		"the newest 50 attempts are kept: earlier ones, before a replay, may be left out,"+numbers(1, 50), 50, 50, 0)
	replay()
	attempt(t, 60, queue.Dead)
	check("over full", "old: dead after 60 attempts",
		"10 earlier attempts left out: the newest 50 are kept,"+numbers(11, 60), 60, 50, 10)
}

// An export tells the same as show.
func TestExportTellsWhatIsLeftOut(t *testing.T) {
	a := newAdminSite(t)
	orphan(t, "one")
	attempt(t, 53, queue.Dead)
	d := a.command("export").Done(t).Lines(t)[0]["deliveries"].([]any)[0].(map[string]any)
	if d["history_left_out"] != 3.0 {
		t.Errorf("exported %v", d)
	}
	listed := a.object("GET", "/scribegate/events", "")["events"].([]any)[0].(map[string]any)["deliveries"].([]any)[0]
	fields(t, "a delivery in a listing", listed, "upstream", "state", "attempts")
}

// An event that nobody gets says why, and a quarantined one what is wrong with it.
func TestShowSaysWhyNobodyGetsAnEvent(t *testing.T) {
	a := newAdminSite(t)
	const only = " {\n events note.generated\n }\n}"
	a.run("\tscribegate {\n\t\tQUEUE\n\t\tupstream ehr "+a.ehr.URL+only, strings.Replace(soapnoteTo("ehr"), "deliver_to", "drop note.failed\n\t\tdeliver_to", 1))
	post := func(body string, status int) string {
		t.Helper()
		if got := do(t, a.soapnote("/soapnote", body)); got.status != status {
			t.Fatalf("answer %d %s", got.status, got.body)
		}
		return soapnoteID(body)
	}
	for name, tt := range map[string]struct{ id, want, not string }{
		"test":        {post(`{"event":"test","note_id":"x","status":"test","created_at":"t"}`, 200), "state         delivered\npayload kept  no\ndeliveries    none: a test event goes only to upstreams whose `events` name `test` or `*`\n", "reason"},
		"dropped":     {post(`{"event":"note.failed","note_id":"x","status":"s","created_at":"t"}`, 200), "state         delivered\npayload kept  no\ndeliveries    none: its handler drops this type\n", "reason"},
		"no taker":    {post(`{"event":"note.signed","note_id":"x","status":"s","created_at":"t"}`, 200), "state         unrouted\npayload kept  yes\ndeliveries    none: no upstream accepted its type; add its type to the `events` of an upstream that its handler delivers to, then replay it\n", "reason"},
		"quarantined": {post(`{"event":"note.failed"}`, 400), "state         quarantined\nreason        note_id is missing\npayload kept  yes\n", "deliveries"},
	} {
		if out := a.command("show", tt.id).Done(t).Out; !strings.Contains(out, tt.want) || strings.Contains(out, tt.not) {
			t.Errorf("%s: printed\n%s\nwant\n%s", name, out, tt.want)
		}
	}
	if ids, _ := a.listed("&state=delivered", 10); len(ids) != 2 {
		t.Errorf("%v are listed as delivered, want the two that nobody gets", ids)
	}
}

// The number of attempts at the head and the note beside each attempt agree.
func TestShowPrintsWhichAttemptsCount(t *testing.T) {
	a := newAdminSite(t)
	a.run(upstreams("away", "http://"+commandtest.ClosedPort(t)), soapnoteTo("away"))
	id := accepted(t, a.site, "note-1")
	var out string
	var attempts int
	eventually(t, "two attempts", func() bool {
		out = a.command("show", id).Done(t).Out
		_, head, _ := strings.Cut(out, "\naway: pending after ")
		n, _ := fmt.Sscanf(head, "%d attempts, none of which counts", &attempts)
		return n == 1
	})
	if n := strings.Count(out, "no connection: does not count\n"); n != attempts {
		t.Errorf("printed\n%s", out)
	}
	eventually(t, "the pause to be shown", func() bool {
		return strings.Contains(a.command("show", id).Done(t).Out, "\nthe upstream is paused: probe ")
	})
}

// A replay gives an event its whole budget again, and counts from the beginning.
func TestReplayGivesAFreshBudget(t *testing.T) {
	a := newAdminSite(t)
	a.lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) })
	a.run(strings.ReplaceAll(upstreams("lab", a.lab.URL), "50ms 50ms 50ms 50ms 50ms 1h", "20ms 20ms"), soapnoteTo("lab"))
	id := a.settledNote("note-1")
	const budget = 3
	for round := 1; round <= 3; round++ {
		got := a.lab.wait(t, round*budget)
		if len(got) != round*budget {
			t.Fatalf("%d attempts after %d rounds", len(got), round)
		}
		for i, d := range got[(round-1)*budget:] {
			if d.header.Get("Scribegate-Attempt") != fmt.Sprint(i+1) {
				t.Errorf("round %d: attempt %s, want %d", round, d.header.Get("Scribegate-Attempt"), i+1)
			}
		}
		out := a.command("show", id).Done(t).Out
		if want := strings.Join(slices.Repeat([]string{numbers(1, budget)}, round), ",replayed: attempts are counted from 1 again,"); !strings.Contains(out, "lab: dead after 3 attempts\n") || history(out) != want {
			t.Errorf("round %d: printed\n%s\nwant %s", round, out, want)
		}
		a.command("replay", "--dead").Done(t)
		a.settle()
	}
}
