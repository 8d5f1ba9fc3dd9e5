package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// deadSite returns a site with dead deliveries of several causes: three events for archive and
// lab, which fail in different ways, and one for lab alone.
func deadSite(t *testing.T) *site {
	t.Helper()
	s := newSite(t, map[string]backend{"archive": status(http.StatusUnprocessableEntity), "lab": status(http.StatusGone), "ehr": status(http.StatusNoContent)})
	for i := range 3 {
		s.store(fmt.Sprint("note-", i), to("archive", "lab"))
	}
	s.store("note-3", to("lab", "ehr"))
	s.wait("the deliveries", func(st admin.Status) bool {
		return upstream(st, "archive").Dead == 3 && upstream(st, "lab").Dead == 4 && upstream(st, "ehr").Pending == 0
	})
	return s
}

// The script refreshes how many there are, and leaves the list alone, which may have a selection.
// That costs no query.
func TestRefreshOfAState(t *testing.T) {
	s := deadSite(t)
	shows(t, s.page("dead"), `<p id="total" data-part class="lead note">7 dead deliveries.</p>`, "Listed at", `<a href="dead">List again</a>`)
	s.store("later", to("archive"))
	s.wait("the later delivery", func(st admin.Status) bool { return upstream(st, "archive").Dead == 4 })
	snapshots.Forget()
	s.part("dead?upstream=archive") // which takes a snapshot
	reads := s.fault.reads.Load()
	for address, want := range map[string]string{"dead": "8 dead deliveries.", "dead?upstream=archive": "4 dead deliveries.", "unrouted": "Nothing is unrouted."} {
		part := s.part(address)
		shows(t, part, want)
		lacks(t, part, "cause-1", "Listed at", "checkbox")
	}
	if n := s.fault.reads.Load() - reads; n > 0 {
		t.Errorf("%d queries", n)
	}
}

func TestDead(t *testing.T) {
	s := deadSite(t)
	page := s.page("dead")
	shows(t, page,
		"7 dead deliveries", "kept for 14 days", "failure 422", "Refused: Unprocessable Entity.", "why it refused the event", "gone 410", "Gone: dead at once.", "asked never to get it again",
		"<strong>4</strong>", "<strong>3</strong>", `<input type="checkbox" name="id" value="note-0" aria-label="Select note-0">`,
		`<button type="submit" name="action" value="replay">Replay selected…</button>`, `value="purge">Purge selected…</button>`, "Replay all of this cause…", "Purge all of this cause…",
	)
	if gone, refused := strings.Index(page, "gone 410"), strings.Index(page, "failure 422"); gone > refused {
		t.Error("the largest group is not the first")
	}
	page = s.page("dead?upstream=archive")
	shows(t, page, "Dead for archive", "3 dead deliveries", "failure 422", `<a href="dead">Show all upstreams</a>`)
	lacks(t, page, "gone 410")
	shows(t, s.page("dead?upstream=ehr"), "Nothing is dead for this upstream")
	got := s.ask("dead?upstream=Call+0900", nil)
	if got.status != http.StatusNotFound {
		t.Errorf("an unknown upstream: status %d", got.status)
	}
	lacks(t, got.body, "0900") // a link must not choose what a page says

	s.visitor.Acts = false
	page = s.page("dead")
	shows(t, page, "failure 422", "event?id=note-0")
	lacks(t, page, "<form", "<button", "preview", "checkbox")
}

func TestStatesWithoutEvents(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	for _, state := range []string{"dead", "quarantined", "unrouted", "unconfirmed"} {
		shows(t, s.page(state), "Nothing is "+state+".", `<a href="`+state+`" aria-current="page">`)
	}
}

func TestSetAside(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	s.store("q1", setAside(queue.Quarantined, "created_at is missing"))
	s.store("q2", setAside(queue.Quarantined, "created_at is missing"))
	s.store("q3", setAside(queue.Quarantined, markup))
	s.store("r1", setAside(queue.Unrouted, ""), typed("note.failed"))
	s.store("c1", setAside(queue.Unconfirmed, "the provider has no such transcription"))
	page := s.page("quarantined")
	shows(t, page, "3 quarantined events", "created_at is missing", "&lt;b onclick", "caddy scribegate export --state quarantined --payloads", "Purge all of this cause…")
	lacks(t, page, "Replay all", "Replay selected")
	shows(t, s.page("unrouted"), "1 unrouted event.", "note.failed", "Add the type to the events of an upstream", "Replay all of this cause…")
	shows(t, s.page("unconfirmed"), "the provider has no such transcription", "the provider is asked again", "Replay all of this cause…")
}

// The groups are those of the newest events, and the page says so if there are more.
func TestManyDead(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	for i := range groupedEvents + 1 {
		s.store(fmt.Sprintf("note-%03d", i), setAside(queue.Quarantined, "a reason"))
	}
	page := s.page("quarantined")
	shows(t, page, "501 quarantined events.", "; the causes are those of the newest 500 events", "<strong>500</strong>")
	lacks(t, page, `value="note-000"`)
}

// A selection is the same after its way through an address or a form.
func TestSelection(t *testing.T) {
	t.Parallel()
	for _, query := range []string{
		"action=replay&id=a&id=b",
		"action=replay&id=a&upstream=ehr",
		"action=purge&force=1&id=a",
		"action=purge&cause=1&outcome=failure&state=dead&status=500&until=2026-03-19T12%3A00%3A00.123456789Z&upstream=ehr",
		"action=replay&cause=1&id=a&reason=" + url.QueryEscape(markup) + "&state=unconfirmed&status=0&until=2026-03-19T12%3A00%3A00Z",
		"action=purge&id=a&state=quarantined&until=2026-03-19T12%3A00%3A00Z",
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		s, err := readSelection(q)
		if got := s.values().Encode(); err != nil || got != query {
			t.Errorf("%s becomes %s, %v", query, got, err)
		}
	}
	tooMany := url.Values{"action": {"purge"}}
	for i := range maxSelected + 1 {
		tooMany.Add("id", fmt.Sprint(i))
	}
	for _, query := range []string{
		"", "id=a", "action=delete&id=a", "action=purge", "action=replay&state=dead", "action=purge&state=dead&until=2026-03-19T12%3A00%3A00Z",
		"action=purge&cause=1&status=0&state=dead", "action=purge&cause=1&status=x&state=dead&until=2026-03-19T12%3A00%3A00Z", "action=purge&state=pending&id=a&until=2026-03-19T12%3A00%3A00Z",
		"action=replay&state=quarantined&id=a&until=2026-03-19T12%3A00%3A00Z", "action=purge&cause=1&status=0&picked=1&state=dead&until=2026-03-19T12%3A00%3A00Z", tooMany.Encode(),
	} {
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if s, err := readSelection(q); err == nil {
			t.Errorf("%.80s: %+v", query, s)
		}
	}
}
