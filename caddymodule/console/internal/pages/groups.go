package pages

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// groupedEvents is the number of events that a page groups by their causes.
	groupedEvents = 500

	// unfolded is the largest number of events of a cause that are listed unasked.
	unfolded = 5
)

// A statePage is the data of the page of a state.
type statePage struct {
	State    string
	Means    string // what the state is
	NoReplay string // why its events cannot be replayed; "" if they can
	Upstream string // only dead deliveries to it; "" for all
	All      string // the address without Upstream
	Self     string // the address
	Total    string // how many there are now; "" for none
	More     bool   // whether there are more than those that are grouped
	Grouped  int
	Groups   []group
}

// A group is what is in a state for one cause.
type group struct {
	ID string // of the element
	explained
	Count  int
	Newest moment // in the state since
	Oldest moment
	Open   bool
	Rows   []row
	Acts   bool
	Fields []hidden // of the form that selects some of it
	Replay string   // the address of the preview for all of it
	Purge  string
	cause  operate.Cause
}

// dead, quarantined, unrouted and unconfirmed answer the pages of the states.
func (p *Pages) dead(v *visit) (content, error)        { return v.statePage(queue.Dead) }
func (p *Pages) quarantined(v *visit) (content, error) { return v.statePage(queue.Quarantined) }
func (p *Pages) unrouted(v *visit) (content, error)    { return v.statePage(queue.Unrouted) }
func (p *Pages) unconfirmed(v *visit) (content, error) { return v.statePage(queue.Unconfirmed) }

func (v *visit) statePage(state queue.State) (content, error) {
	if v.state.err != nil {
		return content{}, v.state.err
	}
	f := queue.Filter{State: state, Limit: groupedEvents}
	if state == queue.Dead {
		f.Upstream = v.URL.Query().Get("upstream")
	}
	if f.Upstream != "" && !v.knows(f.Upstream) {
		return content{}, failure{http.StatusNotFound, "There is no such upstream", "It is not configured, and no event is stored for it. The address may be cut off, or the upstream may have another name now."}
	}
	d := statePage{State: string(state), Upstream: f.Upstream, All: string(state), Self: link(string(state), "upstream", f.Upstream)}
	total := v.totalOf(state, f.Upstream)
	if !v.partial() { // otherwise the list stays: nothing moves while events are selected
		page, err := v.gateway.Queue().Events(v.Context(), f)
		if err != nil {
			return content{}, err
		}
		d.More, d.Grouped = page.Next != "", len(page.Records)
		d.Means = meansOf(state, v.gateway.Config())
		if state == queue.Quarantined {
			d.NoReplay = "They cannot be replayed. To inspect their bytes: caddy scribegate export --state quarantined --payloads"
		}
		d.Groups = v.groups(state, f.Upstream, page.Records)
		listed := 0
		for _, g := range d.Groups {
			listed += g.Count
		}
		total = max(total, int64(listed)) // the list is newer
	}
	if total > 0 {
		d.Total = counted(total, nounOf(state))
	}
	return content{template: "state", title: title(state), data: d}, nil
}

// totalOf returns how much is in a state.
func (v *visit) totalOf(state queue.State, upstream string) int64 {
	q := v.state.status.Queue
	switch state {
	case queue.Quarantined:
		return q.Quarantined
	case queue.Unrouted:
		return q.Unrouted
	case queue.Unconfirmed:
		return q.Unconfirmed
	default:
	}
	if upstream == "" {
		return v.state.dead()
	}
	for _, u := range v.state.status.Upstreams {
		if u.Name == upstream {
			return u.Dead
		}
	}
	return 0
}

// nounOf returns what is counted in a state.
func nounOf(state queue.State) string {
	if state == queue.Dead {
		return "dead delivery"
	}
	return string(state) + " event"
}

// groups returns the events by their causes, the largest group first.
func (v *visit) groups(state queue.State, upstream string, records []queue.Record) []group {
	var until time.Time
	byCause := make(map[operate.Cause]*group)
	for _, r := range records {
		each(r, state, upstream, func(d *queue.DeliveryRecord) {
			since, cause := operate.Since(r, d), operate.CauseOf(r, d)
			if since.After(until) {
				until = since
			}
			g := byCause[cause]
			if g == nil {
				g = &group{cause: cause, explained: explain(state, cause), Newest: ago(since, v.now), Oldest: ago(since, v.now)}
				byCause[cause] = g
			}
			g.Count++
			if since.After(g.Newest.At) {
				g.Newest = ago(since, v.now)
			}
			if since.Before(g.Oldest.At) {
				g.Oldest = ago(since, v.now)
			}
			g.Rows = append(g.Rows, rows([]queue.Record{r}, v.now)...)
		})
	}
	all := make([]group, 0, len(byCause))
	for _, g := range byCause {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), b.Newest.At.Compare(a.Newest.At), cmp.Compare(a.Title, b.Title))
	})
	for i := range all {
		g := &all[i]
		g.ID = fmt.Sprintf("cause-%d", i+1)
		g.Open, g.Acts = g.Count <= unfolded, v.by.Acts
		s := selection{Group: &operate.Group{State: state, Cause: &g.cause, Until: until}}
		g.Fields = append(withoutAction(s.fields()), hidden{"picked", "1"})
		g.Purge = s.preview(purge)
		if state != queue.Quarantined {
			g.Replay = s.preview(replay)
		}
	}
	return all
}

// withoutAction returns the fields of a form whose buttons have the action.
func withoutAction(fields []hidden) []hidden {
	return slices.DeleteFunc(fields, func(f hidden) bool { return f.Name == "action" })
}

// each calls f for each delivery of an event that is in a state, or once with nil for an event
// that is set aside in it.
func each(r queue.Record, state queue.State, upstream string, f func(*queue.DeliveryRecord)) {
	if state != queue.Dead {
		if r.State == state {
			f(nil)
		}
		return
	}
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.State == queue.Dead && (upstream == "" || d.Upstream == upstream) {
			f(d)
		}
	}
}
