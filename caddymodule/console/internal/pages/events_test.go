package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestEvents(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent), "archive": status(http.StatusInternalServerError)})
	s.store("note-1", to("ehr"))
	s.store("note-2", to("archive"), typed("note.failed"))
	s.store("note-3", to("ehr"), receivedAt(time.Now().Add(-2*time.Hour)))
	s.store("nowhere", setAside(queue.Unrouted, ""), typed("test"))
	s.wait("the deliveries", func(st admin.Status) bool {
		return upstream(st, "archive").Dead == 1 && upstream(st, "ehr").Pending == 0
	})
	all := []string{"note-1", "note-2", "note-3", "nowhere"}
	for query, want := range map[string][]string{
		"":                                 all,
		"q=note-1":                         {"note-1"},
		"q=subject-of-note-2":              {"note-2"},
		"q=+note-1+":                       {"note-1"},
		"q=nobody":                         {},
		"q=note-1&state=dead":              {},
		"q=note-2&state=dead":              {"note-2"},
		"q=note-2&state=dead&upstream=ehr": {},
		"q=note-3&since=1h":                {},
		"q=note-3&since=3h":                {"note-3"},
		"state=delivered":                  {"note-1", "note-3"},
		"state=delivered&since=1h":         {"note-1"},
		"state=unrouted":                   {"nowhere"},
		"upstream=archive":                 {"note-2"},
		"type=note.generated":              {"note-1", "note-3"},
		"type=test":                        {"nowhere"},
		"type=note.failed&state=dead":      {"note-2"},
		"type=note.failed&state=delivered": {},
	} {
		page := s.page(strings.TrimSuffix("events?"+query, "?"))
		for _, id := range all {
			listed := strings.Contains(page, `<a href="event?id=`+id+`">`)
			if wanted := strings.Contains(" "+strings.Join(want, " ")+" ", " "+id+" "); listed != wanted {
				t.Errorf("%q: %s is listed: %v, want %v", query, id, listed, wanted)
			}
		}
		if len(want) == 0 {
			shows(t, page, "No event matches")
		}
	}
	page := s.page("events?q=note-2&type=note.failed&state=dead&upstream=archive&since=24h")
	shows(t, page, `value="note-2"`, `value="note.failed"`, "<option selected>dead</option>", "<option selected>archive</option>", `<option value="24h" selected>24 hours</option>`, `<a href="events">Clear</a>`)
	shows(t, s.page("events?since=90m"), `<option value="90m" selected>90m</option>`)
}

// A form sends its empty fields, too: they are not in the address that is pasted into a chat.
func TestEventsWithoutEmptyFields(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	got := s.ask("events?q=&type=note.failed&state=&upstream=ehr&since=", nil)
	if want := "events?type=note.failed&upstream=ehr"; got.status != http.StatusSeeOther || got.location != want {
		t.Errorf("status %d, to %q, want %q", got.status, got.location, want)
	}
	if got := s.ask("events?q=&type=&state=&upstream=&since=", nil); got.location != "events" {
		t.Errorf("to %q", got.location)
	}
}

func TestEventsMistakes(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	for field, c := range map[string]struct{ value, mistake string }{
		"q":        {markup, "An id or a subject has"},
		"type":     {markup, "A type is short"},
		"state":    {markup, "There is no such state"},
		"upstream": {markup, "There is no such upstream"},
		"since":    {markup, "A time is a duration"},
	} {
		got := s.ask("events?"+url.Values{field: {c.value}}.Encode(), nil)
		if got.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", field, got.status)
		}
		shows(t, got.body, `<p class="mistake" id="`+field+`-mistake">`+c.mistake, `aria-invalid="true" aria-describedby="`+field+`-mistake"`)
		lacks(t, got.body, "<b onclick", "<table")
	}
	shows(t, s.page("events?cursor=1"), "No older event is stored.")
	if got := s.ask("events?cursor=zzz", nil); got.status != http.StatusBadRequest {
		t.Errorf("an invalid cursor: status %d", got.status)
	}
}

// The list has pages, and their links keep the whole search.
func TestEventsPages(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusNoContent)})
	const events = 2*listed + 5
	for i := range events {
		s.store(fmt.Sprintf("note-%03d", i))
	}
	seen := make(map[string]bool)
	address := "events?type=note.generated&upstream=ehr&since=24h"
	for pages := 1; ; pages++ {
		page := s.page(address)
		for i := range events {
			if id := fmt.Sprintf("note-%03d", i); strings.Contains(page, `"event?id=`+id+`"`) {
				if seen[id] {
					t.Errorf("%s is on two pages", id)
				}
				seen[id] = true
			}
		}
		_, after, older := strings.Cut(page, `<a class="button" href="events?cursor=`)
		if pages > 1 {
			shows(t, page, `<a class="button" href="events?since=24h&amp;type=note.generated&amp;upstream=ehr">Newest</a>`)
		}
		if !older {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		next, _, _ := strings.Cut(after, `"`)
		if !strings.HasSuffix(next, "&amp;since=24h&amp;type=note.generated&amp;upstream=ehr") {
			t.Fatalf("the next page is %q", next)
		}
		address = "events?cursor=" + strings.ReplaceAll(next, "&amp;", "&")
	}
	if len(seen) != events {
		t.Errorf("%d events are listed, want %d", len(seen), events)
	}
}
