package caddymodule

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// The collectors live as long as the process, so that values survive a reload;
// each configuration registers them on its own registry. Every label has few
// values: what a stranger sends never becomes one.
var (
	receivedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scribegate_events_received_total",
		Help: "Genuine events received, by outcome.",
	}, []string{"provider", "type", "outcome"})

	rejectedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scribegate_requests_rejected_total",
		Help: "Requests rejected, by reason.",
	}, []string{"provider", "reason"})

	acceptDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scribegate_accept_duration_seconds",
		Help:    "Time from a request's arrival until its event was stored.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
	}, []string{"provider"})

	secretMatchedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scribegate_secret_matched_total",
		Help: "Requests proved genuine, by the index of the secret in the configured list.",
	}, []string{"provider", "index"})

	commitDuration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "scribegate_commit_duration_seconds",
		Help:    "Time of the queue's durable writes.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	})

	commitEvents = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "scribegate_commit_events",
		Help:    "Operations carried by one durable write of the queue.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 10),
	})

	attemptsTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scribegate_delivery_attempts_total",
		Help: "Delivery attempts, by outcome.",
	}, []string{"upstream", "outcome"})

	deliveryDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scribegate_delivery_duration_seconds",
		Help:    "Time of one delivery attempt.",
		Buckets: prometheus.DefBuckets,
	}, []string{"upstream"})

	deliveryLag = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scribegate_delivery_lag_seconds",
		Help:    "Time from an event's receipt to its delivery.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 43200, 86400},
	}, []string{"upstream"})
)

// registerMetrics makes the collectors known to a configuration's registry.
func registerMetrics(r *prometheus.Registry) {
	for _, c := range []prometheus.Collector{
		receivedTotal, rejectedTotal, acceptDuration, secretMatchedTotal,
		commitDuration, commitEvents, attemptsTotal, deliveryDuration, deliveryLag,
		queueCollector{},
	} {
		// The only error of collectors that are right in themselves is that
		// this registry has them already: each handler registers them.
		_ = r.Register(c)
	}
}

// typeLabel keeps the words that providers may add later out of the labels.
func typeLabel(shortType string) string {
	switch shortType {
	case "note.generated", "note.failed", "test", "transcription.completed", "transcription.error":
		return shortType
	}
	return event.Other
}

func eventReceived(provider, shortType string, o receive.Outcome, took time.Duration) {
	receivedTotal.WithLabelValues(provider, typeLabel(shortType), string(o)).Inc()
	acceptDuration.WithLabelValues(provider).Observe(took.Seconds())
}

func requestRejected(provider string, reason verifier.Reason) {
	rejectedTotal.WithLabelValues(provider, string(reason)).Inc()
}

// beginProvider begins a provider's series at 0, so that the first rejection and
// the first use of a secret are a rise, and so an increase, for whoever asks
// Prometheus.
func beginProvider(provider string, secrets int) {
	for _, reason := range verifier.Reasons {
		rejectedTotal.WithLabelValues(provider, string(reason))
	}
	for index := range secrets {
		secretMatchedTotal.WithLabelValues(provider, strconv.Itoa(index))
	}
}

// beginUnrouted begins the series of a provider's events that no upstream takes
// at 0: by the types given and by that of all others.
func beginUnrouted(provider string, types []string) {
	for _, shortType := range append([]string{event.Other}, types...) {
		if shortType != event.Test {
			receivedTotal.WithLabelValues(provider, typeLabel(shortType), string(receive.Unrouted))
		}
	}
}

// beginUpstream begins an upstream's series at 0.
func beginUpstream(name string) {
	for _, result := range queue.Results {
		attemptsTotal.WithLabelValues(name, string(result))
	}
}

func secretMatched(provider string, index int) {
	secretMatchedTotal.WithLabelValues(provider, strconv.Itoa(index)).Inc()
}

func observeCommit(d time.Duration, operations int) {
	commitDuration.Observe(d.Seconds())
	commitEvents.Observe(float64(operations))
}

func attemptMade(o queue.Outcome, lag time.Duration) {
	attemptsTotal.WithLabelValues(o.Delivery.Upstream, string(o.Result)).Inc()
	deliveryDuration.WithLabelValues(o.Delivery.Upstream).Observe(o.Duration.Seconds())
	if o.State == queue.Delivered {
		deliveryLag.WithLabelValues(o.Delivery.Upstream).Observe(lag.Seconds())
	}
}

// queueCollector reads the open queues when it is asked.
type queueCollector struct{}

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
func (queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{queueEventsDesc, oldestPendingDesc, queueBytesDesc, quarantinedDesc, unreadableDesc, pausedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. Where the queue does not answer, what it
// counts is left out.
func (queueCollector) Collect(ch chan<- prometheus.Metric) {
	g := currentGateway()
	if g == nil {
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s, err := g.status(time.Now())
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
var _ prometheus.Collector = queueCollector{}
