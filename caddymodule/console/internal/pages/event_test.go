package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
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
	shows(t, s.page("event?id=nowhere"), "No upstream accepted its type", "action=replay")
	s.store("unknown", setAside(queue.Unconfirmed, "the provider has no such transcription"))
	shows(t, s.page("event?id=unknown"), "the provider has no such transcription", "action=replay")
}

// The page says why a delivery waits.
func TestWhyItWaits(t *testing.T) {
	s := newSite(t, map[string]backend{"ehr": status(http.StatusServiceUnavailable)})
	stage := queue.Completion("soniox", "https://soniox.com")
	s.store("blocked", to(stage, "ehr"))
	page := s.page("event?id=blocked")
	shows(t, page, "Confirmed by the provider&#39;s API", "It waits until the provider&#39;s API has confirmed the event.")
	s.store("orphan", to("old"))
	shows(t, s.page("event?id=orphan"), "The upstream is no longer configured: define it again, or purge its events.", "until every delivery has ended")
}

// The attempts before a replay are separate from those after it, and attempts that are no longer kept are counted.
func TestStepOfADelivery(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 12, 0, 0, 0, time.UTC)
	v := &visit{now: now}
	next := now.Add(90 * time.Second)
	course := admin.Course{State: queue.Pending, Attempts: 2, Unused: 1, LeftOut: 7, NextAttempt: &next, History: []admin.Attempt{
		{Attempt: 8, At: now, Seconds: 0.0123, Outcome: queue.Failure, Status: 500}, {Attempt: 1, At: now, Seconds: 12.34, Outcome: queue.ConnectError, Unused: true}, {Attempt: 2, At: now, Outcome: queue.Timeout},
	}}
	s := v.newStep("ehr", course, wording.Meaning)
	var got []string
	for _, a := range s.Attempts {
		got = append(got, strings.TrimSpace(fmt.Sprint(a.Remark, a.Number, " ", a.Took, " ", a.Outcome.Text, " ", a.Status, " ", a.Meaning)))
	}
	want := []string{
		"7 earlier attempts left out: the newest 50 are kept0", "8 12 ms failure 500 the backend failed: Internal Server Error",
		"Replayed: attempts are counted from 1 again0", "1 12.3 s connect_error  no connection: does not count", "2 < 1 ms timeout  no answer in time",
	}
	if !slices.Equal(got, want) || s.Tried != "2 attempts, 1 of which count" || s.Next != "in 1 min" {
		t.Errorf("%q, %q, next %q; want %q", got, s.Tried, s.Next, want)
	}
	course.Attempts, course.History = 0, course.History[:1]
	if s := v.newStep("ehr", course, wording.Meaning); s.Attempts[2].Remark != "Replayed: not attempted since" {
		t.Errorf("%+v", s.Attempts)
	}
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
