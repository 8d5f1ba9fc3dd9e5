package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
)

// The answers to rejected requests, whole.
const (
	saysMethod      = `{"error":"method not allowed"}`
	saysAuth        = `{"error":"unauthorized"}`
	saysTooLarge    = `{"error":"body too large"}`
	saysEncoding    = `{"error":"unsupported content encoding"}`
	saysTimeout     = `{"error":"request timeout"}`
	saysUnavailable = `{"error":"temporarily unavailable"}`
)

// The table's handlers take 64 KiB of body and timestamps up to a minute off.
const tableMaxBody = 64 << 10

var tableBlock = map[string]string{
	"soapnoteapi": `
	scribegate PATH soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		tolerance 60s
		max_body 64KiB
		deliver_to ehr
	}`,
	"soniox": `
	scribegate PATH soniox {
		header X-Webhook-Secret {env.SONIOX_SECRET}
		max_body 64KiB
		deliver_to ehr
	}`,
}

func samplePath(provider string, row int) string {
	return "/" + provider + "/" + strconv.Itoa(row/receive.SampleFirst)
}

// stored counts the events in the running queue, and those that are quarantined.
func stored(t *testing.T) (all, quarantined int) {
	t.Helper()
	page, err := gateway.Current().Queue().Events(t.Context(), queue.Filter{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Records {
		if r.State == queue.Quarantined {
			quarantined++
		}
	}
	return len(page.Records), quarantined
}

// rejections is how often a provider's requests were rejected for a reason.
func rejections(provider string, reason verifier.Reason) int {
	registry := prometheus.NewRegistry()
	metrics.Register(registry)
	families, err := registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		if family.GetName() != "scribegate_requests_rejected_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if labels["provider"] == provider && labels["reason"] == string(reason) {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

// allRejections is how often a provider's requests were rejected at all.
func allRejections(provider string) (n int) {
	for _, reason := range verifier.Reasons {
		n += rejections(provider, reason)
	}
	return n
}

// soapnoteID is the id that the event of a body has: the hash of the source, a
// zero byte and the body, cut to 32 digits.
func soapnoteID(body string) string {
	sum := sha256.Sum256([]byte("https://soapnoteapi.com\x00" + body))
	return "soapnoteapi-" + hex.EncodeToString(sum[:])[:32]
}

func TestAnswers(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	tables := []struct {
		provider string
		rows     []exchange
		request  func(path, body string) *http.Request
	}{
		{"soapnoteapi", soapnoteExchanges(), s.soapnote},
		{"soniox", sonioxExchanges(), s.soniox},
	}
	// Each ten rows have a handler of their own, so that no line of the log
	// falls to the sampler.
	var block strings.Builder
	for _, table := range tables {
		for i := 0; i < len(table.rows); i += receive.SampleFirst {
			block.WriteString(strings.ReplaceAll(tableBlock[table.provider], "PATH", samplePath(table.provider, i)))
		}
	}
	s.load(captureLog+oneUpstream+b.URL+" {\n\t\t\tevents *\n\t\t}\n\t}", block.String())

	reasons := make(map[verifier.Reason]bool)
	accepted, rejected := 0, 0
	for _, table := range tables {
		for i, row := range table.rows {
			t.Run(table.provider+"/"+row.name, func(t *testing.T) {
				captured.reset()
				allBefore, quarantinedBefore := stored(t)
				reasonBefore, rejectionsBefore := rejections(table.provider, row.reason), allRejections(table.provider)
				r := table.request(samplePath(table.provider, i), row.body)
				for _, c := range row.changes {
					c(r)
				}
				got := do(t, r)
				t.Logf("%-11s | %-40s | %d %s | %s", table.provider, row.name, got.status, got.body, row.reason)

				if got.status != row.status || got.header.Get("Content-Type") != "application/json" {
					t.Errorf("answer %d %q %s, want %d application/json", got.status, got.header.Get("Content-Type"), got.body, row.status)
				}
				allow := ""
				if row.status == http.StatusMethodNotAllowed {
					allow = "POST"
				}
				if got.header.Get("Allow") != allow || got.header.Get("Retry-After") != "" {
					t.Errorf("headers %v", got.header)
				}
				all, quarantined := stored(t)
				if row.reason == "" {
					accepted++
					if want := `{"received":true,"id":"` + got.id(t) + `"}`; got.body != want {
						t.Errorf("body %s, want %s", got.body, want)
					}
					if table.provider == "soapnoteapi" && got.id(t) != soapnoteID(row.body) {
						t.Errorf("id %s, want %s", got.id(t), soapnoteID(row.body))
					}
					if all != allBefore+1 || allRejections(table.provider) != rejectionsBefore {
						t.Errorf("%d events more and %d rejections more, want 1 and 0", all-allBefore, allRejections(table.provider)-rejectionsBefore)
					}
					return
				}
				rejected++
				reasons[row.reason] = true
				if got.body != row.answer {
					t.Errorf("body %s, want %s", got.body, row.answer)
				}
				if n := rejections(table.provider, row.reason) - reasonBefore; n != 1 || allRejections(table.provider)-rejectionsBefore != 1 {
					t.Errorf("%d rejections counted as %s and %d in all, want 1 and 1", n, row.reason, allRejections(table.provider)-rejectionsBefore)
				}
				lines := captured.with(t, "request rejected")
				if len(lines) != 1 || lines[0]["reason"] != string(row.reason) || lines[0]["provider"] != table.provider {
					t.Errorf("log lines %v, want one with reason %s", lines, row.reason)
				}
				keep := 0
				if row.reason == verifier.Payload && table.provider == "soapnoteapi" {
					keep = 1
				}
				if all-allBefore != keep || quarantined-quarantinedBefore != keep {
					t.Errorf("%d events more, %d of them quarantined, want %d", all-allBefore, quarantined-quarantinedBefore, keep)
				}
			})
		}
	}
	if rejected < 60 {
		t.Errorf("%d bad requests, want 60 or more", rejected)
	}
	for _, reason := range verifier.Reasons {
		// These two need a body that does not come and a queue that is stuck.
		if !reasons[reason] && reason != verifier.Incomplete && reason != verifier.Unavailable {
			t.Errorf("no request was rejected as %s", reason)
		}
	}
	b.wait(t, accepted)
	eventually(t, "an empty queue", func() bool { return queued(t).Upstreams[0].Pending == 0 })
	if got := len(b.deliveries()); got != accepted {
		t.Errorf("%d deliveries, want %d: no rejected request is one", got, accepted)
	}
}
