//go:build examples

package monitoring_test

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A metric is a documented metric of the gateway, with its labels. For a label with a
// closed set of values, these are the values that the tests' traffic must produce.
type metric struct {
	name, kind string
	labels     map[string][]string
}

var metrics = []metric{
	{"scribegate_events_received_total", "counter", map[string][]string{
		"provider": {"soapnoteapi", "soniox"},
		"type":     {"note.failed", "note.generated", "other", "test", "transcription.completed", "transcription.error"},
		"outcome":  {"accepted", "dropped", "duplicate", "passed", "unrouted"},
	}},
	{"scribegate_requests_rejected_total", "counter", map[string][]string{
		"provider": {"soapnoteapi", "soniox"},
		"reason": { // all of them, since each begins at 0
			"auth_mismatch", "auth_missing", "encoding", "header_repeated", "incomplete", "method", "payload",
			"signature_malformed", "signature_mismatch", "signature_missing",
			"timestamp_future", "timestamp_malformed", "timestamp_missing", "timestamp_stale", "too_large", "unavailable",
		},
	}},
	{"scribegate_accept_duration_seconds", "histogram", map[string][]string{"provider": {"soapnoteapi", "soniox"}}},
	{"scribegate_secret_matched_total", "counter", map[string][]string{"provider": {"soapnoteapi", "soniox"}, "index": {"0", "1"}}},
	{"scribegate_queue_events", "gauge", map[string][]string{"upstream": upstreams, "state": {"dead", "in_flight", "pending"}}},
	{"scribegate_queue_oldest_pending_seconds", "gauge", map[string][]string{"upstream": upstreams}},
	{"scribegate_queue_bytes", "gauge", nil},
	{"scribegate_quarantined_events", "gauge", nil},
	{"scribegate_queue_unreadable_events", "gauge", nil},
	{"scribegate_commit_duration_seconds", "histogram", nil},
	{"scribegate_commit_events", "histogram", nil},
	{"scribegate_delivery_attempts_total", "counter", map[string][]string{
		"upstream": upstreams,
		"outcome":  {"connect_error", "failure", "gone", "success", "timeout"},
	}},
	{"scribegate_delivery_duration_seconds", "histogram", map[string][]string{"upstream": upstreams}},
	{"scribegate_delivery_lag_seconds", "histogram", map[string][]string{"upstream": {"ehr"}}},
	{"scribegate_upstream_paused", "gauge", map[string][]string{"upstream": upstreams}},
	{"scribegate_fetch_duration_seconds", "histogram", map[string][]string{
		"provider": {"soniox"},
		"outcome": { // all of them, since each begins at 0
			"invalid_answer", "not_ready", "other_status", "quota", "rate_limited", "success",
			"timeout", "unauthorized", "unknown", "unreachable", "unreadable",
		},
	}},
	{"scribegate_unconfirmed_total", "counter", map[string][]string{"provider": {"soniox"}}},
	{"scribegate_reconciled_total", "counter", map[string][]string{"provider": {"soniox"}}},
	{"scribegate_provider_stored", "gauge", map[string][]string{
		"provider": {"soniox"}, "source": {"https://soniox.com"}, "kind": {"files", "transcriptions"},
	}},
}

// counters returns the names of all series that never decrease.
func counters() (names []string) {
	for _, m := range metrics {
		switch m.kind {
		case "counter":
			names = append(names, m.name)
		case "histogram":
			names = append(names, m.name+"_count", m.name+"_sum", m.name+"_bucket")
		}
	}
	return names
}

// checkMetrics checks that Prometheus has exactly the documented metrics of the
// gateway, with their types, and with exactly their labels.
func checkMetrics(ctx context.Context, t *testing.T, p *prometheus) {
	t.Helper()
	var all []map[string]string
	p.get(ctx, t, "/api/v1/series", url.Values{"match[]": {`{__name__=~"scribegate_.+"}`}}, &all)
	documented := make(map[string]metric)
	for _, m := range metrics {
		documented[m.name] = m
	}
	values := make(map[string]map[string][]string) // by name and label
	for _, series := range all {
		name := series["__name__"]
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			name = strings.TrimSuffix(name, suffix)
		}
		m, ok := documented[name]
		if !ok {
			t.Errorf("%s is exported but not documented", name)
			continue
		}
		for _, added := range []string{"__name__", "job", "instance", "le"} {
			delete(series, added)
		}
		if got, want := slices.Sorted(maps.Keys(series)), slices.Sorted(maps.Keys(m.labels)); !slices.Equal(got, want) {
			t.Errorf("%s has the labels %q, want %q", name, got, want)
		}
		if values[name] == nil {
			values[name] = make(map[string][]string)
		}
		for label, value := range series {
			values[name][label] = append(values[name][label], value)
		}
	}
	for _, m := range metrics {
		if values[m.name] == nil {
			t.Errorf("%s is not exported", m.name)
		}
		for label, want := range m.labels {
			got := values[m.name][label]
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Errorf("%s has the values %q for %s, want %q", m.name, got, label, want)
			}
		}
	}
	checkTypes(ctx, t, p)
}

func checkTypes(ctx context.Context, t *testing.T, p *prometheus) {
	t.Helper()
	var metadata map[string][]struct{ Type, Help string }
	p.get(ctx, t, "/api/v1/metadata", nil, &metadata)
	for _, m := range metrics {
		about := metadata[m.name]
		if about == nil { // OpenMetrics names a counter without its suffix
			about = metadata[strings.TrimSuffix(m.name, "_total")]
		}
		if len(about) != 1 || about[0].Type != m.kind || about[0].Help == "" {
			t.Errorf("%s is described as %+v, want one %s with a help text", m.name, about, m.kind)
		}
	}
}
