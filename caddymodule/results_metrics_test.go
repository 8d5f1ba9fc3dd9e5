package caddymodule

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// fetches returns the name of the series that counts the fetches with an outcome.
func fetches(provider, outcome string) string {
	return fmt.Sprintf(`scribegate_fetch_duration_seconds_count{outcome=%q,provider=%q}`, outcome, provider)
}

// The series of a provider with an api_key are there from the start, at 0.
func TestResultMetricsBeginAtZero(t *testing.T) {
	newProviders(t, standin.Options{})
	a := newAdminSite(t)
	a.run(upstreams("ehr", a.ehr.URL), sonioxAPI("deliver_to ehr")+"\n"+
		strings.Replace(soapnoteTo("ehr"), "deliver_to", "api_key {env.SOAPNOTE_API_KEY}\ndeliver_to", 1))
	now := a.metrics()
	for _, provider := range []string{"soapnoteapi", "soniox"} {
		want := []string{
			fmt.Sprintf("scribegate_unconfirmed_total{provider=%q}", provider),
			fmt.Sprintf("scribegate_reconciled_total{provider=%q}", provider),
		}
		for _, outcome := range []string{
			"success", "other_status", "unreadable",
			"unknown", "not_ready", "unauthorized", "quota", "rate_limited", "unreachable", "timeout", "invalid_answer",
		} {
			want = append(want, fetches(provider, outcome))
		}
		for _, name := range want {
			// Other tests fetch from Soniox too, and nothing is fetched from SOAPNoteAPI.
			if v, ok := now[name]; !ok || v != 0 && provider != "soniox" {
				t.Errorf("%s is %v (exported: %v), want 0", name, v, ok)
			}
		}
	}
}

// Each request for an event is counted with its outcome, until the event is completed.
func TestResultMetrics(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	a := newAdminSite(t)
	key := filepath.Join(a.dir, "key")
	write := func(value string) {
		t.Helper()
		if err := os.WriteFile(key, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("snx_wrong_key_of_another_project")
	before := a.metrics()
	a.run(upstreams("ehr", a.ehr.URL), strings.Replace(sonioxAPI("deliver_to ehr"), "{env.SONIOX_API_KEY}", "{file."+key+"}", 1))
	risen := func(outcome string) float64 { return a.metrics().since(before, fetches("soniox", outcome)) }

	do(t, a.soniox("/soniox", transcription(providers.AddTranscription(standin.Transcription{}))))
	eventually(t, "two refused requests to be counted", func() bool { return risen("unauthorized") >= 2 })
	if n := risen("success"); n != 0 {
		t.Errorf("%v fetches succeeded with a wrong key", n)
	}
	if n := a.metrics()[`scribegate_queue_events{state="pending",upstream="ehr"}`]; n != 1 {
		t.Errorf("%v events are pending, want the one that waits for its confirmation", n)
	}

	write(standin.SonioxKey)
	a.ehr.wait(t, 1)
	eventually(t, "the fetch to be counted", func() bool { return risen("success") == 1 })

	refused := risen("unauthorized")
	do(t, a.soniox("/soniox", transcription(uuid.NewString())))
	eventually(t, "two requests for an unknown transcription to be counted", func() bool { return risen("unknown") >= 2 })
	providers.Fail(standin.GetTranscription, standin.Fault{Status: http.StatusPaymentRequired})
	eventually(t, "the used-up budget to be counted", func() bool { return risen("quota") >= 1 })
	if n := risen("unauthorized"); n != refused {
		t.Errorf("%v more requests count as refused, with the right key", n-refused)
	}
	if n := a.metrics().since(before, `scribegate_unconfirmed_total{provider="soniox"}`); n != 0 {
		t.Errorf("%v events are unconfirmed, but they are asked for again", n)
	}
	seconds := `scribegate_fetch_duration_seconds_sum{outcome="success",provider="soniox"}`
	if took := a.metrics().since(before, seconds); took <= 0 {
		t.Errorf("the fetch took %v s", took)
	}
}

// What the account stores is exported while a handler has its key, also after a reload.
func TestProviderStored(t *testing.T) {
	providers := newProviders(t, standin.Options{Playground: 1600})
	providers.AddTranscription(standin.Transcription{})
	a := newAdminSite(t)
	const handler = "source urn:clinic-2\ndeliver_to ehr"
	stored := func(kind string) (float64, bool) {
		n, ok := a.metrics()[fmt.Sprintf(`scribegate_provider_stored{kind=%q,provider="soniox",source="urn:clinic-2"}`, kind)]
		return n, ok
	}
	for _, want := range []float64{1601, 1602} {
		a.run(upstreams("ehr", a.ehr.URL), sonioxAPI(handler))
		eventually(t, "what the account stores", func() bool {
			transcriptions, _ := stored("transcriptions")
			files, _ := stored("files")
			return transcriptions == want && files == 1600
		})
		providers.AddTranscription(standin.Transcription{})
	}
	a.run(upstreams("ehr", a.ehr.URL), strings.Replace(soapnoteTo("ehr"), "/soapnote", "/other", 1))
	eventually(t, "the numbers of an account without a key to be gone", func() bool {
		_, ok := stored("transcriptions")
		_, also := stored("files")
		return !ok && !also
	})
}
