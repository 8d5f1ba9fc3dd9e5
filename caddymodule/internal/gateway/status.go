package gateway

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// Status returns the counts of the queue and the state of the upstreams: first the
// configured ones in their order, then those that only events refer to. With an error it
// returns what is known without the queue.
func (g *Gateway) Status(now time.Time) (admin.Status, error) {
	stats, err := g.Stats()
	s := admin.Status{
		Queue: admin.QueueStatus{
			Engine: g.EngineName(), Bytes: stats.Bytes, MaxBytes: stats.MaxBytes,
			Quarantined: stats.Quarantined, Unrouted: stats.Unrouted, Unconfirmed: stats.Unconfirmed, Unreadable: stats.Unreadable,
		},
		Upstreams: []admin.UpstreamStatus{},
	}
	cluster, clustered := g.queue.(queue.Cluster)
	if clustered && err == nil {
		err = describe(cluster, &s.Queue)
	}
	add := func(name string) *admin.UpstreamStatus {
		counts := stats.Upstreams[name]
		u := admin.UpstreamStatus{Name: name, Pending: counts.Pending, InFlight: counts.InFlight, Dead: counts.Dead}
		if !counts.OldestPending.IsZero() {
			u.OldestPendingSeconds = max(0, now.Sub(counts.OldestPending).Seconds())
		}
		s.Upstreams = append(s.Upstreams, u)
		return &s.Upstreams[len(s.Upstreams)-1]
	}
	configured := make(map[string]bool)
	for _, d := range g.dispatcher.Status() {
		configured[d.Name] = true
		u := add(d.Name)
		if !clustered || err != nil {
			// The queue also counts attempts whose outcome it has yet to write.
			u.InFlight = int64(d.InFlight)
		}
		u.Paused, u.PauseReason = d.Paused, d.PauseReason
		u.PausedUntil, u.LastSuccess = admin.OptionalTime(d.PausedUntil), admin.OptionalTime(d.LastSuccess)
		if f := d.LastFailure; !f.At.IsZero() {
			u.LastFailure = &admin.Failure{At: f.At.UTC(), Outcome: f.Result, Status: f.Status}
		}
	}
	var orphans []string
	for name, counts := range stats.Upstreams {
		if !configured[name] && counts.Pending+counts.Dead > 0 {
			orphans = append(orphans, name)
		}
	}
	slices.Sort(orphans)
	for _, name := range orphans {
		add(name).Orphaned = true
	}
	s.APIs = g.results.Status(stats, now)
	return s, err
}

// describe adds the nodes that share a queue, and their database.
func describe(c queue.Cluster, q *admin.QueueStatus) error {
	nodes, err := c.Nodes()
	if err != nil {
		return err
	}
	for _, n := range nodes {
		q.Nodes = append(q.Nodes, admin.NodeStatus{Name: n.Name, LastSeen: n.LastSeen.UTC(), Leased: n.Leased, Self: n.Self})
	}
	s := c.Storage()
	q.Database = &admin.DatabaseStatus{RoundTripSeconds: s.RoundTrip.Seconds(), Standbys: []admin.StandbyStatus{}}
	for _, b := range s.Standbys {
		one := admin.StandbyStatus{Name: b.Name}
		if b.Visible {
			one.StandbyLag = &admin.StandbyLag{Synchronous: b.Synchronous, LagBytes: b.LagBytes, LagSeconds: b.Lag.Seconds()}
		}
		q.Database.Standbys = append(q.Database.Standbys, one)
	}
	return nil
}

// EngineName returns the name of the queue's engine.
func (g *Gateway) EngineName() string {
	name, _, _ := strings.Cut(g.key, ":")
	return name
}

// openGateways are the open gateways, in the order in which they were opened. The
// pool has them too, but blocks while one is being opened, which may hang.
var openGateways gatewayList

type gatewayList struct {
	mu  sync.Mutex
	all []*Gateway
}

func (l *gatewayList) add(g *Gateway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, g)
}

func (l *gatewayList) remove(g *Gateway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other *Gateway) bool { return other == g })
}

// Current returns the gateway of the newest configuration that was active, or nil. Two
// gateways are open only while a configuration replaces one with a different queue.
func Current() *Gateway {
	openGateways.mu.Lock()
	defer openGateways.mu.Unlock()
	for _, g := range slices.Backward(openGateways.all) {
		if g.Config() != nil {
			return g
		}
	}
	return nil
}
