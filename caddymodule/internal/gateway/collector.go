package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

// A Collector collects the metrics of the current gateway's queue.
type Collector struct{}

var (
	queueEventsDesc = prometheus.NewDesc("scribegate_queue_events",
		"Deliveries in the queue, by state; in_flight ones are pending as well.", []string{"upstream", "state"}, nil)
	oldestPendingDesc = prometheus.NewDesc("scribegate_queue_oldest_pending_seconds",
		"Age of the oldest pending delivery.", []string{"upstream"}, nil)
	queueBytesDesc = prometheus.NewDesc("scribegate_queue_bytes",
		"Bytes of sealed records in the queue.", nil, nil)
	quarantinedDesc = prometheus.NewDesc("scribegate_quarantined_events",
		"Quarantined events in the queue.", nil, nil)
	unreadableDesc = prometheus.NewDesc("scribegate_queue_unreadable_events",
		"Events in the queue that are damaged in whole or in part, as far as is known.", nil, nil)
	pausedDesc = prometheus.NewDesc("scribegate_upstream_paused",
		"Whether an upstream is paused (1) or not (0).", []string{"upstream"}, nil)

	// Of a queue that several gateways share.
	nodesDesc = prometheus.NewDesc("scribegate_queue_nodes",
		"Gateways that share the queue.", nil, nil)
	leasedDesc = prometheus.NewDesc("scribegate_queue_leased_events",
		"Deliveries that this gateway makes, or is about to make.", nil, nil)
	roundTripDesc = prometheus.NewDesc("scribegate_queue_round_trip_seconds",
		"Time of the newest of the requests by which this gateway looks for changes in the database once a second.", nil, nil)
	standbysDesc = prometheus.NewDesc("scribegate_queue_standbys",
		"Standbys of the database.", nil, nil)
	lagBytesDesc = prometheus.NewDesc("scribegate_queue_replication_lag_bytes",
		"Write-ahead log that the standby that is furthest behind has not written.", nil, nil)
	lagSecondsDesc = prometheus.NewDesc("scribegate_queue_replication_lag_seconds",
		"How late the slowest standby was with what it has written last; 0 if it has everything.", nil, nil)
)

// Describe implements prometheus.Collector.
func (Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		queueEventsDesc, oldestPendingDesc, queueBytesDesc, quarantinedDesc, unreadableDesc, pausedDesc,
		nodesDesc, leasedDesc, roundTripDesc, standbysDesc, lagBytesDesc, lagSecondsDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. If the queue does not answer, its counts are
// left out.
func (Collector) Collect(ch chan<- prometheus.Metric) {
	g := Current()
	if g == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s, err := g.Status(time.Now())
	for _, u := range s.Upstreams {
		paused := 0.0
		if u.Paused {
			paused = 1
		}
		gauge(pausedDesc, paused, u.Name)
	}
	if err != nil {
		return
	}
	gauge(queueBytesDesc, float64(s.Queue.Bytes))
	gauge(quarantinedDesc, float64(s.Queue.Quarantined))
	gauge(unreadableDesc, float64(s.Queue.Unreadable))
	for _, u := range s.Upstreams {
		gauge(queueEventsDesc, float64(u.Pending), u.Name, "pending")
		gauge(queueEventsDesc, float64(u.InFlight), u.Name, "in_flight")
		gauge(queueEventsDesc, float64(u.Dead), u.Name, "dead")
		gauge(oldestPendingDesc, u.OldestPendingSeconds, u.Name)
	}
	if s.Queue.Database != nil {
		collectCluster(gauge, s.Queue)
	}
}

// collectCluster collects the metrics of a queue that several gateways share. The names of the
// gateways are no label: where each start of one has a new name, their number is not bounded.
func collectCluster(gauge func(d *prometheus.Desc, v float64, labels ...string), q admin.QueueStatus) {
	gauge(nodesDesc, float64(len(q.Nodes)))
	for _, n := range q.Nodes {
		if n.Self {
			gauge(leasedDesc, float64(n.Leased))
		}
	}
	if q.Database.RoundTripSeconds > 0 {
		gauge(roundTripDesc, q.Database.RoundTripSeconds)
	}
	gauge(standbysDesc, float64(len(q.Database.Standbys)))
	lag, visible := admin.StandbyLag{}, false
	for _, b := range q.Database.Standbys {
		if b.StandbyLag != nil {
			visible = true
			lag.LagBytes, lag.LagSeconds = max(lag.LagBytes, b.LagBytes), max(lag.LagSeconds, b.LagSeconds)
		}
	}
	if visible {
		gauge(lagBytesDesc, float64(lag.LagBytes))
		gauge(lagSecondsDesc, lag.LagSeconds)
	}
}

// Interface guards
var _ prometheus.Collector = Collector{}
