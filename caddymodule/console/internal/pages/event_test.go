package pages

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestEvent(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent), "archive": status(http.StatusServiceUnavailable), "lab": func() (int, error) { return 0, context.DeadlineExceeded }})
	s.store("note-1")
	s.wait("the deliveries", func(st admin.Status) bool {
		return upstream(st, "archive").Dead == 1 && upstream(st, "lab").Dead == 1 && upstream(st, "ehr").Pending == 0
	})
	page := s.page("event?id=note-1")
	shows(t, page,
		"<title>note.generated note-1 · Scribegate</title>", "subject-of-note-1", "kept, sealed", "proved genuine and stored",
		"the backend failed: Service Unavailable", `<td class="num">503</td>`, "no answer in time", "accepted", `<td class="num">204</td>`,
		`href="preview?action=replay&amp;id=note-1"`, `href="preview?action=replay&amp;id=note-1&amp;upstream=archive"`, `href="preview?action=purge&amp;id=note-1"`,
		"<dt>Kept</dt><dd>until 20",
	)
	s.visitor.Acts = false
	lacks(t, s.page("event?id=note-1"), "preview?", "Replay")
}

func TestEventWithoutPayload(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	s.store("note-1")
	s.wait("the delivery", func(st admin.Status) bool { return upstream(st, "ehr").Pending == 0 })
	page := s.page("event?id=note-1")
	shows(t, page, "no longer kept", "it cannot be replayed", `href="preview?action=purge&amp;id=note-1"`)
	lacks(t, page, "action=replay")
}

func TestEventSetAside(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	s.store("strange", setAside(queue.Quarantined, "created_at is missing"))
	page := s.page("event?id=strange")
	shows(t, page, "created_at is missing", "caddy scribegate export --state quarantined --payloads")
	lacks(t, page, "action=replay")
	s.store("nowhere", setAside(queue.Unrouted, ""))
	shows(t, s.page("event?id=nowhere"), "no upstream accepted its type", "action=replay")
	s.store("unknown", setAside(queue.Unconfirmed, "the provider has no such transcription"))
	shows(t, s.page("event?id=unknown"), "the provider has no such transcription", "action=replay")
}

// Whatever a stranger wrote is text on the page, and an id of any form leads to its event.
func TestStrangersTexts(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusServiceUnavailable)})
	s.visitor.Name = markup
	for _, id := range []string{markup, "a/b?c=d&e#f", "javascript:alert(1)", "..", "ü ö\x00"} {
		s.store(id, typed("x"), func(it *queue.Item) {
			it.Event.Subject, it.Event.Provider = markup, markup
			it.Event.Type = markup
			it.State, it.Reason, it.Upstreams = queue.Quarantined, markup, nil
		})
		page := s.page("event?id=" + url.QueryEscape(id))
		shows(t, page, "&lt;b onclick=")
		lacks(t, page, "<b onclick", `href="javascript`)
	}
	s.store("routed", to("a"+markup))
	for _, address := range []string{"", "events", "event?id=routed", "events?upstream=" + url.QueryEscape("a"+markup)} {
		page := s.page(address)
		shows(t, page, "&lt;b onclick=")
		lacks(t, page, "<b onclick", `href="javascript`)
	}
}

func TestMissingPages(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	for address, want := range map[string]int{"nothing": 404, "event?id=nobody": 404, "event": 404, "events/": 200} {
		got := s.ask(address, nil)
		if got.status != want {
			t.Errorf("%s: status %d, want %d", address, got.status, want)
		}
	}
	shows(t, s.ask("nothing", nil).body, "There is no such page", `href="./"`)
	if got := s.ask("events", url.Values{"q": {"a"}}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("a form: status %d", got.status)
	}
}
