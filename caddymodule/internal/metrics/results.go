package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scribegate/scribegate/forwarder/result"
)

var (
	fetchDuration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "scribegate_fetch_duration_seconds",
		Help:    "Time of one attempt to complete an event from its provider's API, by outcome.",
		Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}, []string{"provider", "outcome"})

	unconfirmedTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scribegate_unconfirmed_total",
		Help: "Events set aside since their provider's API did not confirm them.",
	}, []string{"provider"})

	reconciledTotal = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "scribegate_reconciled_total",
		Help: "Events found at their provider's API whose webhook never arrived.",
	}, []string{"provider"})

	providerStored = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "scribegate_provider_stored",
		Help: "Transcriptions and files that the provider's account stores.",
	}, []string{"provider", "source", "kind"})
)

// BeginResults starts the series of a provider whose API is asked at 0.
func BeginResults(provider string) {
	for _, word := range result.Words() {
		fetchDuration.WithLabelValues(provider, string(word))
	}
	unconfirmedTotal.WithLabelValues(provider)
	reconciledTotal.WithLabelValues(provider)
}

// Fetched counts an attempt to complete an event.
func Fetched(provider string, outcome result.Word, took time.Duration) {
	fetchDuration.WithLabelValues(provider, string(outcome)).Observe(took.Seconds())
}

// Unconfirmed counts an event that the provider's API did not confirm.
func Unconfirmed(provider string) { unconfirmedTotal.WithLabelValues(provider).Inc() }

// Reconciled counts an event that was found at the provider's API.
func Reconciled(provider string) { reconciledTotal.WithLabelValues(provider).Inc() }

// ProviderStored records what an account stores, by kind: transcriptions or files.
func ProviderStored(provider, source, kind string, n int64) {
	providerStored.WithLabelValues(provider, source, kind).Set(float64(n))
}

// ForgetProviderStored removes the numbers of an account that is not asked any more.
func ForgetProviderStored(provider, source string) {
	providerStored.DeletePartialMatch(prometheus.Labels{"provider": provider, "source": source})
}
