package metrics

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
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

// Register registers the collectors of this package, and further ones, on a
// configuration's registry.
func Register(r *prometheus.Registry, further ...prometheus.Collector) {
	for _, c := range append([]prometheus.Collector{
		receivedTotal, rejectedTotal, acceptDuration, secretMatchedTotal,
		commitDuration, commitEvents, attemptsTotal, deliveryDuration, deliveryLag,
		fetchDuration, unconfirmedTotal, reconciledTotal, providerStored,
	}, further...) {
		// The only possible error is that this registry has the collector already:
		// each handler registers them all.
		_ = r.Register(c)
	}
}

// knownTypes returns the types that the registered providers send today.
var knownTypes = sync.OnceValue(build.EventTypes)

// TypeLabel returns the label of a type. Types that a provider may add later share one, since
// their number is not bounded.
func TypeLabel(shortType string) string {
	if slices.Contains(knownTypes(), shortType) {
		return shortType
	}
	return event.Other
}

// EventReceived counts a genuine event, and the time from its arrival to its outcome.
func EventReceived(provider, shortType string, o receive.Outcome, took time.Duration) {
	receivedTotal.WithLabelValues(provider, TypeLabel(shortType), string(o)).Inc()
	acceptDuration.WithLabelValues(provider).Observe(took.Seconds())
}

// EventRecovered counts an event that its provider's API returned.
func EventRecovered(provider, shortType string, o receive.Outcome) {
	receivedTotal.WithLabelValues(provider, TypeLabel(shortType), string(o)).Inc()
}

// RequestRejected counts a rejected request.
func RequestRejected(provider string, reason verifier.Reason) {
	rejectedTotal.WithLabelValues(provider, string(reason)).Inc()
}

// BeginProvider starts a provider's series at 0. Prometheus then counts the first rejection
// and the first use of a secret as an increase.
func BeginProvider(provider string, secrets int) {
	for _, reason := range verifier.Reasons {
		rejectedTotal.WithLabelValues(provider, string(reason))
	}
	for index := range secrets {
		secretMatchedTotal.WithLabelValues(provider, strconv.Itoa(index))
	}
}

// BeginUnrouted starts the series of a provider's events that no upstream takes at 0, for
// the given types and for all others.
func BeginUnrouted(provider string, types []string) {
	for _, shortType := range append([]string{event.Other}, types...) {
		if shortType != event.Test {
			receivedTotal.WithLabelValues(provider, TypeLabel(shortType), string(receive.Unrouted))
		}
	}
}

// BeginUpstream starts an upstream's series at 0.
func BeginUpstream(name string) {
	for _, result := range queue.Results {
		attemptsTotal.WithLabelValues(name, string(result))
	}
}

// SecretMatched counts a request that the secret with this index proved genuine.
func SecretMatched(provider string, index int) {
	secretMatchedTotal.WithLabelValues(provider, strconv.Itoa(index)).Inc()
}

// Commit counts a durable write of the queue.
func Commit(d time.Duration, operations int) {
	commitDuration.Observe(d.Seconds())
	commitEvents.Observe(float64(operations))
}

// Attempt counts a delivery attempt.
func Attempt(o queue.Outcome, lag time.Duration) {
	attemptsTotal.WithLabelValues(o.Delivery.Upstream, string(o.Result)).Inc()
	deliveryDuration.WithLabelValues(o.Delivery.Upstream).Observe(o.Duration.Seconds())
	if o.State == queue.Delivered {
		deliveryLag.WithLabelValues(o.Delivery.Upstream).Observe(lag.Seconds())
	}
}
