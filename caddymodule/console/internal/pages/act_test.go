package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

var (
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
	unescape    = strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'", "&#43;", "+")
)

// fields returns the hidden fields of the first form on a page.
func fields(page string) url.Values {
	_, form, _ := strings.Cut(page, "<form method=\"post\"")
	form, _, _ = strings.Cut(form, "</form>")
	q := make(url.Values)
	for _, f := range hiddenField.FindAllStringSubmatch(form, -1) {
		q.Add(unescape.Replace(f[1]), unescape.Replace(f[2]))
	}
	return q
}

// link returns the address that a link on a page leads to.
func (s *site) link(page, text string) string {
	s.Helper()
	found := regexp.MustCompile(`href="([^"]*)"[^>]*>` + regexp.QuoteMeta(text)).FindStringSubmatch(page)
	if found == nil {
		s.Fatalf("no link %q on the page:\n%s", text, page)
	}
	return unescape.Replace(found[1])
}

// confirm confirms a preview, and returns the page of the job.
func (s *site) confirm(preview string) string {
	s.Helper()
	form := fields(preview)
	got := s.ask("act", form)
	if got.status != http.StatusSeeOther || !strings.HasPrefix(got.location, "job?id=") {
		s.Fatalf("status %d, to %q\n%s", got.status, got.location, got.body)
	}
	return s.page(got.location)
}

// events returns how many events are in a state.
func (s *site) events(state queue.State, upstream string) int {
	s.Helper()
	page, err := s.gateway.Queue().Events(s.Context(), queue.Filter{State: state, Upstream: upstream, Limit: 1000})
	if err != nil {
		s.Fatal(err)
	}
	return len(page.Records)
}

// All of a cause is replayed as it was shown: nothing of another cause, and nothing that came
// after.
func TestReplayOfACause(t *testing.T) {
	s := deadSite(t)
	list := s.page("dead?upstream=archive")
	s.store("later", to("archive"))
	s.wait("the later delivery", func(st admin.Status) bool { return upstream(st, "archive").Dead == 4 })
	preview := s.page(s.link(list, "Replay all of this cause…"))
	shows(t, preview, "<h1 id=\"preview-title\">Replay 3 deliveries?</h1>", "3 deliveries of 3 events", "<dt>archive</dt><dd>3 deliveries</dd>", "failure 422", ">Replay 3 deliveries</button>", `<a class="button" href="dead">Cancel</a>`, "event?id=note-0")
	lacks(t, preview, "later", "note-3")

	s.answers["archive"].Store(http.StatusNoContent)
	job := s.confirm(preview)
	shows(t, job, "3 deliveries replayed", "started by alice")
	lacks(t, job, `http-equiv="refresh"`)
	s.wait("the deliveries", func(st admin.Status) bool { return upstream(st, "archive").Pending == 0 })
	if n := s.events(queue.Dead, "archive"); n != 1 {
		t.Errorf("%d deliveries are dead, want that of the event that came later", n)
	}
	if n := s.events(queue.Dead, "lab"); n != 4 {
		t.Errorf("%d deliveries of another cause are dead, want 4", n)
	}
	lines := s.audited("replayed")
	if len(lines) != 1 || lines[0]["user"] != "alice" || lines[0]["by"] != "192.0.2.1" || lines[0]["deliveries"] != int64(3) {
		t.Errorf("audited: %v", lines)
	}
}

// What is selected in a list is purged, and nothing else. Cancelling changes nothing.
func TestPurgeOfSelected(t *testing.T) {
	s := deadSite(t)
	form := fields(s.page("dead?upstream=lab"))
	form["id"], form["action"] = []string{"note-1", "note-3", "nobody"}, []string{"purge"}
	got := s.ask("preview", form)
	if got.status != http.StatusOK {
		t.Fatalf("status %d\n%s", got.status, got.body)
	}
	shows(t, got.body, "Delete the dead deliveries of 2 events for good?", "2 events stay, with their other deliveries.", "This cannot be undone.", `class="main danger">Delete the dead deliveries of 2 events for good</button>`, `<body data-still>`)
	if n := s.events(queue.Dead, "lab"); n != 4 {
		t.Errorf("the preview left %d dead deliveries", n)
	}
	shows(t, got.body, "<dt>lab</dt><dd>2 deliveries</dd>")
	shows(t, s.confirm(got.body), "Dead deliveries of 2 events purged")
	if lab, archive := s.events(queue.Dead, "lab"), s.events(queue.Dead, "archive"); lab != 2 || archive != 3 {
		t.Errorf("%d and %d deliveries are dead, want 2 and 3", lab, archive)
	}

	form = fields(s.page("dead?upstream=archive"))
	form["id"], form["action"] = []string{"note-1", "note-2"}, []string{"purge"}
	shows(t, s.ask("preview", form).body, "Delete the dead deliveries of 2 events for good?", "1 event stays, with its other deliveries.", "1 event is deleted, with its payload and its trace.")
}

func TestPurgeOfSetAside(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	s.store("q1", setAside(queue.Quarantined, "a reason"))
	s.store("q2", setAside(queue.Quarantined, "another reason"))
	list := s.page("quarantined")
	s.store("q3", setAside(queue.Quarantined, "a reason"))
	var previews []string
	for _, found := range regexp.MustCompile(`href="(preview[^"]*)"`).FindAllStringSubmatch(list, -1) {
		previews = append(previews, s.page(unescape.Replace(found[1])))
	}
	if len(previews) != 2 {
		t.Fatalf("%d previews", len(previews))
	}
	for _, preview := range previews {
		shows(t, preview, "Delete 1 event for good?", ">Delete 1 event for good</button>")
		shows(t, s.confirm(preview), "1 event purged")
	}
	if page := s.page("quarantined"); !strings.Contains(page, "1 quarantined event.") || !strings.Contains(page, `value="q3"`) {
		t.Errorf("the event that came later is not there:\n%s", page)
	}
}

// The preview of a replay of what was set aside knows which upstreams accept it.
func TestReplayOfUnrouted(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent), "lab": status(http.StatusNoContent)})
	s.gateway.Config().Route = func(e *event.Event) []string {
		if e.ID == "r3" {
			return nil
		}
		return []string{"ehr", "lab"}
	}
	for _, id := range []string{"r1", "r2", "r3"} {
		s.store(id, setAside(queue.Unrouted, ""))
	}
	preview := s.page(s.link(s.page("unrouted"), "Replay all of this cause…"))
	shows(t, preview, "Replay 4 deliveries?", "<dt>ehr</dt><dd>2 deliveries</dd>", "<dt>lab</dt><dd>2 deliveries</dd>", "1 event is skipped, since no upstream accepts it")
	job := s.confirm(preview)
	shows(t, job, "4 deliveries replayed", "1 event skipped: no upstream accepts the type.")
	if n := s.events(queue.Unrouted, ""); n != 1 {
		t.Errorf("%d events are unrouted", n)
	}
}

func TestActionsOnOneEvent(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusGone), "lab": status(http.StatusGone)})
	s.store("note-1", to("ehr", "lab"))
	s.wait("the deliveries", func(st admin.Status) bool { return upstream(st, "ehr").Dead+upstream(st, "lab").Dead == 2 })
	page := s.page("event?id=note-1")
	preview := s.page(s.link(page, `Replay to <span class="mono">lab`))
	shows(t, preview, "Replay 1 delivery?", "<dt>lab</dt><dd>1 delivery</dd>", `<a class="button" href="event?id=note-1">Cancel</a>`)
	lacks(t, preview, "<dt>ehr</dt>")
	shows(t, s.page(s.link(page, "Replay…")), "Replay 2 deliveries?")
	s.answers["lab"].Store(http.StatusNoContent)
	shows(t, s.confirm(preview), "1 delivery replayed", `href="event?id=note-1"`)
	s.wait("the delivery", func(st admin.Status) bool { return upstream(st, "lab").Dead+upstream(st, "lab").Pending == 0 })
	if n := s.events(queue.Dead, "ehr"); n != 1 {
		t.Errorf("%d deliveries to the other upstream are dead", n)
	}

	shows(t, s.confirm(s.page(s.link(page, "Purge…"))), "1 event purged", `href="events"`)
	for _, action := range []string{"replay", "purge"} {
		if got := s.ask("preview?action="+action+"&id=note-1", nil); got.status != http.StatusNotFound {
			t.Errorf("%s of an event that has gone: status %d", action, got.status)
		}
	}
}

// An event that still waits is purged only if the preview said so.
func TestPurgeOfWhatWaits(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	s.store("note-1", to("old"))
	form := url.Values{"action": {"purge"}, "id": {"note-1"}, "token": {newToken(time.Now())}}
	got := s.ask("act", form)
	shows(t, s.page(got.location), "The purge failed", "still waits for an upstream")
	preview := s.page("preview?action=purge&id=note-1")
	shows(t, preview, "1 event still waits for an upstream, which then never gets it.")
	shows(t, s.confirm(preview), "1 event purged")
}

func TestNothingToDo(t *testing.T) {
	s := deadSite(t)
	preview := s.link(s.page("dead?upstream=archive"), "Purge all of this cause…")
	s.confirm(s.page(preview))
	page := s.page(preview)
	shows(t, page, "There is nothing to delete", `<a class="button" href="dead">Back</a>`)
	lacks(t, page, "<form", "<button")
	forged := s.page("preview?action=purge&state=quarantined&cause=1&status=0&reason=Call+0900&until=2026-01-01T00:00:00Z")
	shows(t, forged, "There is nothing to delete")
	lacks(t, forged, "0900")
	s.store("old", to("gone"))
	page = s.page("preview?action=replay&id=old")
	shows(t, page, "There is nothing to replay", "1 delivery is skipped, since its upstream is no longer configured.")
	s.store("q1", setAside(queue.Quarantined, "a reason"))
	if got := s.ask("preview?action=replay&id=q1", nil); got.status != http.StatusConflict {
		t.Errorf("a quarantined event: status %d", got.status)
	}
}

func TestReadOnly(t *testing.T) {
	s := deadSite(t)
	form := fields(s.page(s.link(s.page("dead?upstream=lab"), "Purge all of this cause…")))
	s.visitor.Acts = false
	for _, address := range []string{"act", "preview"} {
		got := s.ask(address, form)
		if got.status != http.StatusForbidden {
			t.Errorf("%s: status %d", address, got.status)
		}
		shows(t, got.body, "The console is read only", "read_only")
	}
	if n := s.events(queue.Dead, "lab"); n != 4 {
		t.Errorf("%d deliveries are dead", n)
	}
}

// Between a preview and its confirmation, another operator or a reload can be faster. The page of
// the job says what was done, and no more.
func TestLateConfirmation(t *testing.T) {
	s := deadSite(t)
	mine := s.page(s.link(s.page("dead?upstream=lab"), "Replay all of this cause…"))
	shows(t, s.confirm(s.page(s.link(s.page("dead?upstream=lab"), "Replay all of this cause…"))), "4 deliveries replayed", "The deliveries are due now", "The audit trail has it.")
	page := s.confirm(mine)
	shows(t, page, "0 deliveries replayed", "Nothing of what the preview showed was left.", "The audit trail has it.")
	lacks(t, page, "The deliveries are due now")

	form := fields(s.page(s.link(s.page("dead?upstream=archive"), "Replay all of this cause…")))
	form.Set("upstream", "gone")
	got := s.ask("act", form)
	page = s.page(got.location)
	shows(t, page, "The replay failed", "Upstream &#34;gone&#34; is not configured")
	lacks(t, page, "The audit trail has it.")
	if lines := s.audited("replayed"); len(lines) != 2 {
		t.Errorf("audited: %v", lines)
	}
}

// A form that is sent twice starts one job. One that is too old, or was not made here, starts none.
func TestDoubleSubmit(t *testing.T) {
	s := deadSite(t)
	form := fields(s.page(s.link(s.page("dead?upstream=lab"), "Replay all of this cause…")))
	first, second := s.ask("act", form), s.ask("act", form)
	if first.status != http.StatusSeeOther || second != first {
		t.Errorf("%+v, then %+v", first, second)
	}
	if lines := s.audited("replayed"); len(lines) != 1 {
		t.Errorf("audited: %v", lines)
	}
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"none":       {"", http.StatusBadRequest},
		"made up":    {"abc", http.StatusBadRequest},
		"too short":  {strings.SplitN(newToken(time.Now()), ".", 2)[0] + ".x", http.StatusBadRequest},
		"too old":    {newToken(time.Now().Add(-9*time.Minute - time.Second)), http.StatusConflict},
		"too new":    {newToken(time.Now().Add(time.Hour)), http.StatusConflict},
		"with a tag": {markup, http.StatusBadRequest},
	} {
		form.Set("token", c.token)
		if got := s.ask("act", form); got.status != c.status {
			t.Errorf("%s: status %d, want %d", name, got.status, c.status)
		}
	}
	if got := s.ask("job?id=nobody", nil); got.status != http.StatusNotFound {
		t.Errorf("an unknown job: status %d", got.status)
	}
	w := httptest.NewRecorder()
	s.pages.Serve(w, httptest.NewRequest(http.MethodGet, "/act", nil), s.visitor)
	if allow := w.Header().Get("Allow"); w.Code != http.StatusMethodNotAllowed || allow != http.MethodPost {
		t.Errorf("act by GET: status %d, Allow %q", w.Code, allow)
	}
}

// A job that takes longer is followed on its page, without script, too.
func TestProgress(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	release := make(chan struct{})
	token := newToken(time.Now())
	j, err := registry.Start(token, jobInfo{Action: replay, Back: "dead", By: markup}, func(_ context.Context, report func(done, total int64)) any {
		report(1200, 5000)
		<-release
		return outcome{Text: "5,000 deliveries replayed"}
	})
	if err != nil {
		t.Fatal(err)
	}
	address := link("job", "id", token)
	commandtest.WaitUntil(t, "the progress", func() bool { return j.State().Done > 0 })
	page := s.page(address)
	shows(t, page, "Replaying", "1,200 of 5,000", `<progress max="5000" value="1200"`, `<noscript><meta http-equiv="refresh" content="3"></noscript>`, "&lt;b onclick")
	close(release)
	j.Wait(t.Context(), time.Minute)
	page = s.page(address)
	shows(t, page, "5,000 deliveries replayed", `href="dead"`)
	lacks(t, page, "<progress", `http-equiv="refresh"`)
}

// A preview of very much stops counting, and says so. The action is for all of it.
func TestBoundedPreview(t *testing.T) {
	was := tallyTime
	defer func() { tallyTime = was }()
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	for i := range 3 {
		s.store(fmt.Sprint("note-", i), setAside(queue.Quarantined, "a reason"))
	}
	address := s.link(s.page("quarantined"), "Purge all of this cause…")
	shows(t, s.page(address), "Delete 3 events for good?")
	tallyTime = 0
	preview := s.page(address)
	shows(t, preview, "Delete at least 1 event for good?", "At least 1 event is deleted", "or earlier")
	shows(t, s.confirm(preview), "3 events purged")
}

// audited returns the fields of the lines of the audit trail with an action.
func (s *site) audited(action string) (all []map[string]any) {
	for _, line := range s.trail.FilterMessage(action).All() {
		all = append(all, line.ContextMap())
	}
	return all
}

// newTrail returns an audit trail whose lines can be read.
func newTrail() (audit.Trail, *observer.ObservedLogs) {
	core, lines := observer.New(zap.InfoLevel)
	return audit.New(zap.New(core)), lines
}
