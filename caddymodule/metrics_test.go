package caddymodule

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/verifier"
)

// A series is a metric's name with its labels, as Prometheus writes it.
type series map[string]float64

// metrics reads Caddy's own registry through its admin endpoint.
func (a *adminSite) metrics() series {
	a.t.Helper()
	r := a.ask("GET", "/metrics", "")
	if r.status != http.StatusOK {
		a.t.Fatalf("metrics: %d %s", r.status, r.body)
	}
	all := make(series)
	for line := range strings.Lines(r.body) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.LastIndex(line, "} "); i >= 0 { // a label may hold a space
			name, value, ok = line[:i+1], strings.TrimSpace(line[i+2:]), true
		}
		if !ok || !strings.HasPrefix(name, "scribegate_") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			a.t.Fatalf("%v in %s", err, line)
		}
		all[name] = n
	}
	return all
}

// The collectors live as long as the process, so that tests look at what was
// added.
func (s series) since(before series, name string) float64 { return s[name] - before[name] }

// Every series is there from the start, at 0: Prometheus' increase() knows
// nothing of a first count that comes with its series.
func TestMetricsBeginAtZero(t *testing.T) {
	a := newAdminSite(t)
	block := strings.Replace(soapnoteTo("begun"), "{env.SOAPNOTE_SECRET}", "{env.SOAPNOTE_SECRET} whsec_older", 1)
	a.run(upstreams("begun", a.ehr.URL), block)
	now := a.metrics()
	want := []string{
		`scribegate_delivery_attempts_total{outcome="connect_error",upstream="begun"}`,
		`scribegate_delivery_attempts_total{outcome="failure",upstream="begun"}`,
		`scribegate_delivery_attempts_total{outcome="gone",upstream="begun"}`,
		`scribegate_delivery_attempts_total{outcome="success",upstream="begun"}`,
		`scribegate_delivery_attempts_total{outcome="timeout",upstream="begun"}`,
		`scribegate_secret_matched_total{index="0",provider="soapnoteapi"}`,
		`scribegate_secret_matched_total{index="1",provider="soapnoteapi"}`,
		`scribegate_events_received_total{outcome="unrouted",provider="soapnoteapi",type="note.generated"}`,
		`scribegate_events_received_total{outcome="unrouted",provider="soapnoteapi",type="note.failed"}`,
		`scribegate_events_received_total{outcome="unrouted",provider="soapnoteapi",type="other"}`,
	}
	for _, reason := range verifier.Reasons {
		want = append(want, `scribegate_requests_rejected_total{provider="soapnoteapi",reason="`+string(reason)+`"}`)
	}
	for _, name := range want {
		if v, ok := now[name]; !ok || (v != 0 && strings.Contains(name, "begun")) {
			t.Errorf("%s is %v, %v", name, v, ok)
		}
	}
}

func TestMetrics(t *testing.T) {
	a := newAdminSite(t)
	before := a.metrics()
	a.settledNote("note-1")
	do(t, a.soapnote("/soapnote", note("note-1")))
	do(t, a.soapnote("/soapnote", `{"event":"made.up","note_id":"x","status":"s","created_at":"t"}`))
	do(t, a.soapnote("/soapnote", `{"event":"made.up.too","note_id":"x","status":"s","created_at":"t"}`))
	do(t, a.soapnote("/soapnote", `{}`))
	forged := a.soapnote("/soapnote", note("forged"))
	forged.Header.Set("X-SoapNoteAPI-Signature", strings.Repeat("0", 64))
	do(t, forged)
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/soapnote", nil)
	if err != nil {
		t.Fatal(err)
	}
	do(t, get)
	a.settle()
	now := a.metrics()

	for name, want := range map[string]float64{
		`scribegate_events_received_total{outcome="accepted",provider="soapnoteapi",type="note.generated"}`:  1,
		`scribegate_events_received_total{outcome="duplicate",provider="soapnoteapi",type="note.generated"}`: 1,
		`scribegate_events_received_total{outcome="accepted",provider="soapnoteapi",type="other"}`:           2,
		`scribegate_requests_rejected_total{provider="soapnoteapi",reason="payload"}`:                        1,
		`scribegate_requests_rejected_total{provider="soapnoteapi",reason="signature_mismatch"}`:             1,
		`scribegate_requests_rejected_total{provider="soapnoteapi",reason="method"}`:                         1,
		`scribegate_secret_matched_total{index="0",provider="soapnoteapi"}`:                                  5,
		`scribegate_accept_duration_seconds_count{provider="soapnoteapi"}`:                                   4,
		`scribegate_delivery_attempts_total{outcome="success",upstream="ehr"}`:                               3,
		`scribegate_delivery_attempts_total{outcome="gone",upstream="lab"}`:                                  3,
		`scribegate_delivery_duration_seconds_count{upstream="ehr"}`:                                         3,
		`scribegate_delivery_lag_seconds_count{upstream="ehr"}`:                                              3,
		`scribegate_delivery_lag_seconds_count{upstream="lab"}`:                                              0,
	} {
		if got := now.since(before, name); got != want {
			t.Errorf("%s rose by %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{
		`scribegate_queue_events{state="pending",upstream="ehr"}`:   0,
		`scribegate_queue_events{state="in_flight",upstream="ehr"}`: 0,
		`scribegate_queue_events{state="dead",upstream="lab"}`:      3,
		`scribegate_queue_oldest_pending_seconds{upstream="ehr"}`:   0,
		`scribegate_queue_oldest_pending_seconds{upstream="lab"}`:   0,
		`scribegate_quarantined_events`:                             1,
		`scribegate_queue_unreadable_events`:                        0,
		`scribegate_upstream_paused{upstream="ehr"}`:                0,
		`scribegate_queue_bytes`:                                    float64(queued(t).Queue.Bytes),
	} {
		if got, ok := now[name]; !ok || got != want {
			t.Errorf("%s is %v, %v; want %v", name, got, ok, want)
		}
	}
	if now[`scribegate_queue_bytes`] <= 0 {
		t.Error("the dead events take up no bytes")
	}
	commits := now.since(before, "scribegate_commit_duration_seconds_count")
	if commits < 1 || now.since(before, "scribegate_commit_events_count") != commits || now.since(before, "scribegate_commit_events_sum") < commits {
		t.Errorf("%v commits with %v operations", commits, now.since(before, "scribegate_commit_events_sum"))
	}

	t.Run("survive a reload", func(t *testing.T) {
		a.run(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), soapnoteTo("ehr lab")+strings.Replace(soapnoteTo("ehr"), "/soapnote", "/second", 1))
		after := a.metrics()
		for name, value := range now {
			if !strings.HasPrefix(name, "scribegate_commit") && after[name] != value {
				t.Errorf("%s is %v after the reload, and was %v", name, after[name], value)
			}
		}
	})
	t.Run("labels are bounded", func(t *testing.T) {
		known := map[string][]string{
			"type":    {"note.generated", "note.failed", "test", "transcription.completed", "transcription.error", "other"},
			"outcome": {"accepted", "duplicate", "unrouted", "dropped", "passed", "success", "failure", "timeout", "connect_error", "gone"},
			"state":   {"pending", "in_flight", "dead"},
			"kind":    {"transcriptions", "files"},
		}
		for _, word := range result.Words() {
			known["outcome"] = append(known["outcome"], string(word))
		}
		for name := range now {
			_, labels, ok := strings.Cut(strings.TrimSuffix(name, "}"), "{")
			if !ok {
				continue
			}
			for label := range strings.SplitSeq(labels, ",") {
				key, value, _ := strings.Cut(label, "=")
				if values := known[key]; values != nil && !slices.Contains(values, strings.Trim(value, `"`)) {
					t.Errorf("%s: %s is none of %v", name, label, values)
				}
			}
		}
	})
}

// An upstream that cannot be reached shows up as such.
func TestMetricsOfAnOutage(t *testing.T) {
	a := newAdminSite(t)
	before := a.metrics()
	a.run("\tscribegate {\n\t\tQUEUE\n\t\tupstream away http://"+commandtest.ClosedPort(t)+" {\n\t\t\tretry 1h\n\t\t}\n\t}\n", soapnoteTo("away"))
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		accepted(t, a.site, id)
	}
	eventually(t, "the upstream to be paused", func() bool { return a.metrics()[`scribegate_upstream_paused{upstream="away"}`] == 1 })
	now := a.metrics()
	if n := now.since(before, `scribegate_delivery_attempts_total{outcome="connect_error",upstream="away"}`); n < 5 {
		t.Errorf("%v connect errors, want 5 or more", n)
	}
	if n := now[`scribegate_queue_events{state="pending",upstream="away"}`]; n != 5 {
		t.Errorf("%v pending, want 5", n)
	}
	if now[`scribegate_queue_oldest_pending_seconds{upstream="away"}`] <= 0 {
		t.Error("the oldest pending event has no age")
	}
}
