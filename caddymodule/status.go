package caddymodule

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

// Status returns the counts of the queue and the state of the upstreams: those
// configured, in their order, and then those that only events are left of. With an
// error it returns what is known without the queue.
func (g *gateway) status(now time.Time) (admin.Status, error) {
	stats, err := g.stats()
	s := admin.Status{
		Queue: admin.QueueStatus{
			Engine: g.engineName(), Bytes: stats.Bytes, MaxBytes: stats.MaxBytes,
			Quarantined: stats.Quarantined, Unrouted: stats.Unrouted, Unconfirmed: stats.Unconfirmed, Unreadable: stats.Unreadable,
		},
		Upstreams: []admin.UpstreamStatus{},
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
		// The queue counts those as well whose outcome it has yet to write.
		u.InFlight = int64(d.InFlight)
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
	return s, err
}

// engineName returns the name of the queue's engine.
func (g *gateway) engineName() string {
	name, _, _ := strings.Cut(g.key, ":")
	return name
}

// openGateways are the open gateways, in the order in which they were opened. The
// pool has them too, but blocks while one is being opened, which may hang.
var openGateways gatewayList

type gatewayList struct {
	mu  sync.Mutex
	all []*gateway
}

func (l *gatewayList) add(g *gateway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, g)
}

func (l *gatewayList) remove(g *gateway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(other *gateway) bool { return other == g })
}

// currentGateway returns the gateway of the newest configuration that was active, or
// nil. Two are open only while a configuration replaces one with a different
// queue.
func currentGateway() *gateway {
	openGateways.mu.Lock()
	defer openGateways.mu.Unlock()
	for _, g := range slices.Backward(openGateways.all) {
		if g.configuration() != nil {
			return g
		}
	}
	return nil
}
