package pages

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/console/internal/shared"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	// listed is the number of events in a page of the list.
	listed = 50

	// searchTime is how long a page of the list is searched for. A search without an index
	// goes on from there when the visitor asks for more.
	searchTime = 50 * time.Millisecond
)

// A search is what the list of events is searched for. Each field is as in the address.
type search struct {
	Query    string // the id of an event, or the subject
	Type     string
	State    string
	Upstream string
	Since    string
	Cursor   string
}

// A listing is the data of the page of events.
type listing struct {
	Search    search
	Mistakes  map[string]mistake // by the names of the fields
	Types     []string
	States    []string
	Upstreams []string
	Spans     []choice
	Rows      []row
	Older     string // the address of the next page; "" at the end
	Newest    string // the address of the first page; "" on it
	Until     moment // if the search is not complete: the time of the last event that was looked at
}

// A mistake is what is wrong with a field.
type mistake struct{ Field, Text string }

// A choice is an option of a field.
type choice struct{ Value, Text string }

// spans are the times that a search can be limited to.
var spans = []choice{{"15m", "15 minutes"}, {"1h", "hour"}, {"24h", "24 hours"}, {"7d", "7 days"}}

// Found is the result of a search.
type found struct {
	Records []queue.Record
	Next    string    // the cursor of the next page; "" at the end
	Until   time.Time // if the search is not complete: the time of the last event that was looked at
	err     error
}

// searches are those of the process, so that many tabs with the same list cost what one does.
var searches = shared.Cache[view, found]{MaxAge: time.Second, Stale: time.Second, Size: 64}

// events answers the list of events.
func (p *Pages) events(v *visit) (content, error) {
	q := v.URL.Query()
	s := search{strings.TrimSpace(q.Get("q")), strings.TrimSpace(q.Get("type")), q.Get("state"), q.Get("upstream"), q.Get("since"), q.Get("cursor")}
	if slices.ContainsFunc([]string{"q", "type", "state", "upstream", "since", "cursor"}, func(name string) bool { return q.Has(name) && q.Get(name) == "" }) {
		return content{redirect: s.address(s.Cursor)}, nil // the form sends its empty fields, too
	}
	if v.state.err != nil {
		return content{}, v.state.err
	}
	l := listing{Search: s, Types: eventTypes, States: admin.StateNames(), Spans: spans}
	for _, u := range v.state.status.Upstreams {
		l.Upstreams = append(l.Upstreams, u.Name)
	}
	if !slices.Contains(l.Upstreams, s.Upstream) && s.Upstream != "" && v.knows(s.Upstream) {
		l.Upstreams = append(l.Upstreams, s.Upstream) // it is no longer configured, and nothing waits for it
	}
	var since time.Time
	l.Mistakes, since = s.check(l.Upstreams, v.now)
	if s.Since != "" && !slices.ContainsFunc(spans, func(c choice) bool { return c.Value == s.Since }) && l.Mistakes["since"].Text == "" {
		l.Spans = append([]choice{{s.Since, s.Since}}, spans...)
	}
	a := content{template: "events", title: "Events"}
	if len(l.Mistakes) > 0 {
		a.status, a.data = 400, l
		return a, nil
	}
	queryOf := v.gateway.Queue()
	f, err := searches.Get(v.Context(), view{v.gateway, v.gateway.Config(), s.address(s.Cursor)}, func() found {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(v.Context()), queryTimeout)
		defer cancel()
		return s.find(ctx, queryOf, since)
	})
	if err = errors.Join(err, f.err); err != nil {
		return content{}, err
	}
	l.Rows, l.Until = rows(f.Records, v.now), at(f.Until, "")
	if f.Next != "" {
		l.Older = s.address(f.Next)
	}
	if s.Cursor != "" {
		l.Newest = s.address("")
	}
	a.data = l
	return a, nil
}

// knows reports whether an upstream is configured, or there are events of it.
func (v *visit) knows(upstream string) bool {
	return slices.ContainsFunc(v.state.status.Upstreams, func(u admin.UpstreamStatus) bool { return u.Name == upstream }) ||
		operate.KnownUpstream(v.gateway, upstream) == nil
}

// eventTypes are the types that the providers document.
var eventTypes = []string{"note.generated", "note.failed", "transcription.completed", "transcription.error", event.Test}

// address returns the address of the list with a cursor.
func (s search) address(cursor string) string {
	return link("events", "q", s.Query, "type", s.Type, "state", s.State, "upstream", s.Upstream, "since", s.Since, "cursor", cursor)
}

// Filtered reports whether the list is limited.
func (s search) Filtered() bool { return s != search{Cursor: s.Cursor} }

// check returns what is wrong with the fields, and the time that Since means.
func (s search) check(upstreams []string, now time.Time) (mistakes map[string]mistake, since time.Time) {
	mistakes = make(map[string]mistake)
	add := func(field, text string) { mistakes[field] = mistake{field, text} }
	if s.Query != "" && !admin.SubjectForm.MatchString(s.Query) {
		add("q", "An id or a subject has 1 to 128 letters, digits and the characters . _ : -")
	}
	if s.Type != "" && !admin.TypeForm.MatchString(s.Type) {
		add("type", "A type is short, such as note.generated: 1 to 64 letters, digits and the characters . _ -")
	}
	if admin.CheckState(queue.State(s.State)) != nil {
		add("state", "There is no such state. Known are "+strings.Join(admin.StateNames(), ", ")+".")
	}
	if s.Upstream != "" && !slices.Contains(upstreams, s.Upstream) {
		add("upstream", "There is no such upstream.")
	}
	if s.Since != "" {
		d, err := caddy.ParseDuration(s.Since)
		if err != nil || d <= 0 {
			add("since", "A time is a duration above zero, such as 30m, 1h or 7d.")
		}
		since = now.Add(-d)
	}
	return mistakes, since
}

// find searches the queue.
func (s search) find(ctx context.Context, q queue.Queue, since time.Time) (f found) {
	filter := queue.Filter{State: queue.State(s.State), Upstream: s.Upstream, Subject: s.Query, Since: since, Limit: listed, Cursor: s.Cursor}
	if s.Query != "" && s.Cursor == "" {
		switch r, err := q.Event(ctx, s.Query); {
		case err == nil && s.matches(r) && !r.ReceivedAt.Before(since):
			f.Records = append(f.Records, r)
		case err != nil && !errors.Is(err, queue.ErrNotFound):
			return found{err: err}
		}
	}
	// The queue has an index of the rare types only, and none of a type within a state.
	if s.State == "" && s.Upstream == "" && s.Type != eventTypes[0] && s.Type != eventTypes[2] {
		filter.Type = s.Type
	}
	began := time.Now()
	for {
		page, err := q.Events(ctx, filter)
		if err != nil {
			return found{err: err}
		}
		matched := len(f.Records)
		for _, r := range page.Records {
			if (s.Type == "" || r.Type == s.Type) && (len(f.Records) == 0 || f.Records[0].ID != r.ID) {
				f.Records = append(f.Records, r)
			}
		}
		f.Next, filter.Cursor = page.Next, page.Next
		if page.Next == "" || len(f.Records) >= listed {
			return f
		}
		if time.Since(began) > searchTime {
			f.Until = page.Records[len(page.Records)-1].ReceivedAt
			return f
		}
		if len(f.Records) == matched {
			filter.Limit = min(2*filter.Limit, 4*listed)
		}
	}
}

// matches reports whether an event that was found by its id is in the list.
func (s search) matches(r queue.Record) bool {
	if s.Type != "" && r.Type != s.Type {
		return false
	}
	if s.Upstream == "" && (s.State == "" || r.State == queue.State(s.State)) {
		return true
	}
	return slices.ContainsFunc(r.Deliveries, func(d queue.DeliveryRecord) bool {
		return (s.State == "" || d.State == queue.State(s.State)) && (s.Upstream == "" || d.Upstream == s.Upstream)
	})
}
