package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
)

// Describe implements prometheus.Collector.
func (Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueEventsDesc, oldestPendingDesc, queueBytesDesc, quarantinedDesc, unreadableDesc, pausedDesc} {
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
}

// Interface guards
var _ prometheus.Collector = Collector{}
