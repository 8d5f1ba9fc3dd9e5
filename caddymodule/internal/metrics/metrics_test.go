package metrics

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

func init() { caddy.RegisterModule(provider{}) }

// A provider sends two types of events.
type provider struct{ verifier.Provider }

func (provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.providers.metrics_test", New: func() caddy.Module { return new(provider) }}
}

func (provider) EventTypes() []string { return []string{"test.known", event.Test} }

// names is the number of names that newName has returned.
var names atomic.Int32

// newName returns the name of a provider or an upstream without series: the collectors live as
// long as the process.
func newName() string { return fmt.Sprint("name_", names.Add(1)) }

// registered returns a new registry with the collectors.
func registered() *prometheus.Registry {
	r := prometheus.NewRegistry()
	Register(r)
	return r
}

// series returns the counters and the counts of histograms that have this value in a label, by
// name and labels, without the label itself.
func series(t *testing.T, r *prometheus.Registry, value string) map[string]float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name, matches := strings.TrimPrefix(f.GetName(), "scribegate_"), false
			for _, l := range m.Label {
				if l.GetValue() == value {
					matches = true
					continue
				}
				name += " " + l.GetValue()
			}
			if matches {
				found[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return found
}

// A provider may add types at any time, and a stranger may make some up. They have one label.
func TestTypesHaveABoundedNumberOfLabels(t *testing.T) {
	t.Parallel()
	provider := newName()
	for i := range 100 {
		EventReceived(provider, fmt.Sprint("type.", i), receive.Accepted, time.Millisecond)
	}
	EventReceived(provider, "test.known", receive.Accepted, time.Millisecond)
	want := map[string]float64{
		"events_received_total accepted " + event.Other: 100,
		"events_received_total accepted test.known":     1,
		"accept_duration_seconds":                       101,
	}
	if got := series(t, registered(), provider); !maps.Equal(got, want) {
		t.Errorf("series %v, want %v", got, want)
	}
}

// The series of a provider and of an upstream are there before the first event, at 0: Prometheus
// does not count the first value of a series as an increase.
func TestSeriesBeginAtZero(t *testing.T) {
	t.Parallel()
	provider, upstream := newName(), newName()
	BeginProvider(provider, 2)
	BeginUnrouted(provider, []string{"test.known", "unknown", event.Test})
	BeginUpstream(upstream)
	want := []string{
		"secret_matched_total 0", "secret_matched_total 1",
		"events_received_total unrouted " + event.Other, "events_received_total unrouted test.known",
	}
	for _, reason := range verifier.Reasons {
		want = append(want, "requests_rejected_total "+string(reason))
	}
	checkZero(t, series(t, registered(), provider), want)
	want = nil
	for _, result := range queue.Results {
		want = append(want, "delivery_attempts_total "+string(result))
	}
	checkZero(t, series(t, registered(), upstream), want)

	asked := newName()
	BeginResults(asked)
	want = []string{"unconfirmed_total", "reconciled_total"}
	for _, word := range result.Words() {
		want = append(want, "fetch_duration_seconds "+string(word))
	}
	checkZero(t, series(t, registered(), asked), want)
}

// Of a provider's account only the newest numbers are exported, and none when it is not asked
// any more.
func TestProviderStored(t *testing.T) {
	t.Parallel()
	provider := newName()
	stored := func() map[string]float64 {
		found := make(map[string]float64)
		families, err := registered().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				if f.GetName() == "scribegate_provider_stored" && m.Label[1].GetValue() == provider {
					found[m.Label[2].GetValue()+" "+m.Label[0].GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
		return found
	}
	ProviderStored(provider, "urn:one", "transcriptions", 7)
	ProviderStored(provider, "urn:one", "transcriptions", 3)
	ProviderStored(provider, "urn:one", "files", 2)
	ProviderStored(provider, "urn:two", "files", 1)
	if got, want := stored(), map[string]float64{"urn:one transcriptions": 3, "urn:one files": 2, "urn:two files": 1}; !maps.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
	ForgetProviderStored(provider, "urn:one")
	if got, want := stored(), map[string]float64{"urn:two files": 1}; !maps.Equal(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

// checkZero checks that the series are these, and are all 0.
func checkZero(t *testing.T, got map[string]float64, want []string) {
	t.Helper()
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(slices.Values(want))) {
		t.Errorf("series %q, want %q", names, want)
	}
	for name, value := range got {
		if value != 0 {
			t.Errorf("%s begins at %v", name, value)
		}
	}
}

// The next configuration has a registry of its own, on which the series go on. Registering the
// collectors again, or beginning a series again, changes nothing.
func TestValuesSurviveAReload(t *testing.T) {
	t.Parallel()
	before, name := registered(), newName()
	BeginProvider(name, 1)
	BeginUpstream(name)
	SecretMatched(name, 0)
	RequestRejected(name, verifier.Unavailable)
	Attempt(queue.Outcome{Delivery: queue.Delivery{Upstream: name}, State: queue.Delivered, Result: queue.Success}, time.Second)

	after := registered()
	Register(after)
	BeginProvider(name, 1)
	BeginUpstream(name)
	for when, r := range map[string]*prometheus.Registry{"before": before, "after": after} {
		got := series(t, r, name)
		for _, counted := range []string{
			"secret_matched_total 0", "requests_rejected_total " + string(verifier.Unavailable),
			"delivery_attempts_total " + string(queue.Success), "delivery_lag_seconds", "delivery_duration_seconds",
		} {
			if got[counted] != 1 {
				t.Errorf("%s the reload %s is %v, want 1", when, counted, got[counted])
			}
			delete(got, counted)
		}
		for other, value := range got {
			if value != 0 {
				t.Errorf("%s the reload %s is %v, want 0", when, other, value)
			}
		}
	}
}
