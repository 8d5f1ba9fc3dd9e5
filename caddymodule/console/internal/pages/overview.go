package pages

import (
	"strconv"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

// An overview is the data of the first page.
type overview struct {
	Verdict verdict
	Lanes   []lane
	APIs    []apiLane
	Store   store
	Latest  []row

	Genuine    []genuine
	Rejections []rejection
	Warnings   []logging.Warning // of the configuration
}

// overview answers the first page.
func (p *Pages) overview(v *visit) (content, error) {
	s := v.state
	o := overview{
		Verdict: judge(s, v.now), Store: newStore(s.status.Queue, v.now), Latest: rows(s.latest, v.now),
		Genuine: newGenuine(activity.Process, v.now), Rejections: newRejections(s.rejected, v.now),
	}
	if p.logs != nil {
		o.Warnings = p.logs.Warnings()
	}
	if n := len(o.Warnings); n > 0 {
		o.Verdict.Aside = append(o.Verdict.Aside, problem{Tone: warn, Text: counted(int64(n), "warning"), Href: "#warnings"})
	}
	for _, u := range s.status.Upstreams {
		o.Lanes = append(o.Lanes, newLane(u, s.hours[u.Name], v.now))
	}
	for _, a := range s.status.APIs {
		o.APIs = append(o.APIs, newAPILane(a, v.now))
	}
	return content{template: "overview", title: "Overview", data: o, asOf: s.at, refresh: true}, nil
}

// A store is the size of the queue and, if several gateways share it, their state.
type store struct {
	Engine  string
	Size    string
	Limit   string // "" without one
	Percent string
	Width   int // of 100
	Tone    tone

	Nodes     []node
	RoundTrip string // to the database; "" without one
	Standbys  []standby
}

// A node is one of the gateways that share the queue.
type node struct {
	Name   string
	Leased int64
	Seen   moment
}

// A standby is a standby of the database.
type standby struct{ Name, State string }

func newStore(q admin.QueueStatus, now time.Time) store {
	s := store{Engine: q.Engine, Size: wording.Size(q.Bytes), Tone: good}
	for _, n := range q.Nodes {
		s.Nodes = append(s.Nodes, node{n.Name, n.Leased, agoOf(&n.LastSeen, now)})
	}
	if d := q.Database; d != nil {
		s.RoundTrip = wording.RoundTrip(*d)
		for _, b := range d.Standbys {
			s.Standbys = append(s.Standbys, standby{b.Name, wording.Standby(b)})
		}
	}
	if q.MaxBytes == 0 {
		return s
	}
	share := 100 * float64(q.Bytes) / float64(q.MaxBytes)
	s.Limit, s.Percent, s.Width = wording.Size(q.MaxBytes), strconv.FormatFloat(share, 'f', 1, 64), int(min(100, share))
	switch {
	case share >= 95:
		s.Tone = bad
	case share >= nearlyFull:
		s.Tone = warn
	}
	return s
}

// nearlyFull is the share of the limit, in percent, above which the store's size needs
// attention.
const nearlyFull = 80
