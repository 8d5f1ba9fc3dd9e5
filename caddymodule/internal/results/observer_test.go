package results

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// counted returns the series of a provider that are not 0, by name and outcome.
func counted(t *testing.T, provider string) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	metrics.Register(r)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name, ofProvider := f.GetName(), false
			for _, l := range m.Label {
				switch l.GetName() {
				case "provider":
					ofProvider = l.GetValue() == provider
				default:
					name += " " + l.GetValue()
				}
			}
			if n := m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount()); ofProvider && n != 0 {
				found[name] = n
			}
		}
	}
	return found
}

// Each request for an event is counted, and each event that is set aside. An attempt without
// a request, and one that deletes at the provider, is not a fetch.
func TestObserverCounts(t *testing.T) {
	t.Parallel()
	before := counted(t, "observed") // the collectors live as long as the process
	o := Observer{Logger: zap.NewNop(), Audit: audit.New(zap.NewNop())}
	report := func(stage string, state queue.State, word result.Word, asked bool) {
		o.Attempted(result.Report{Word: word, Asked: asked, Outcome: queue.Outcome{
			Delivery: queue.Delivery{Upstream: stage, Provider: "observed"}, State: state, Duration: time.Millisecond,
		}})
	}
	completion, cleanup := queue.Completion("observed", "urn:a"), queue.Cleanup("observed", "urn:a")
	report(completion, queue.Pending, result.Word(rest.Unknown), true)
	report(completion, queue.Unconfirmed, result.Word(rest.Unknown), true)
	report(completion, queue.Pending, result.Word(rest.Timeout), true)
	report(completion, queue.Pending, result.Word(rest.Timeout), false)
	report(completion, queue.Delivered, result.Done, true)
	report(completion, queue.Delivered, result.Unreadable, false)
	report(cleanup, queue.Pending, result.Word(rest.Timeout), true)
	report(cleanup, queue.Delivered, result.Done, true)

	want := map[string]float64{
		"scribegate_fetch_duration_seconds unknown": 2, "scribegate_fetch_duration_seconds timeout": 1,
		"scribegate_fetch_duration_seconds success": 1, "scribegate_unconfirmed_total": 1,
	}
	got := counted(t, "observed")
	for name := range got {
		got[name] -= before[name]
	}
	if !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}
