package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// What is planted in a result and is part of the event that upstreams receive.
var deliveredOfResults = []string{
	"a transcript's text", "a token", "a token's speaker", "a model", "a client_reference_id", "an error_message", "an error_type that is not a word",
	"the query of a webhook that was missed",
}

// What is planted in a result, or in an error of the API, and no upstream receives.
var keptOfResults = []string{
	"a transcription's filename", "a context", "an audio_url", "a language hint", "a webhook_url's query", "an uploaded file's name",
	"a transcript's unknown member", "the key of an API", "an API's words",
}

// resultSource begins the sources of the handlers that ask an API.
const resultSource = "https://soniox.com/results/"

// A plantedResult is a transcription, with a handler of its own that asks an API for it.
type plantedResult struct {
	name    string // of the handler, which is at /result/<name>
	options string // of the handler
	base    string // of the API
	id      string
	fails   bool        // whether the webhook reports an error
	missed  bool        // whether its webhook does not arrive
	ends    bool        // whether the event is delivered, with the transcript or without
	asked   func() bool // whether the API was asked for what it blabs about
}

// result returns the result of a name.
func (s *privateSite) result(name string) plantedResult {
	s.t.Helper()
	i := slices.IndexFunc(s.results, func(r plantedResult) bool { return r.name == name })
	if i < 0 {
		s.t.Fatalf("nothing is planted as %s", name)
	}
	return s.results[i]
}

// resultHandlers is the part of the Caddyfile with the handlers that ask an API. Each has a
// source of its own, so that none waits because another's API is paused.
func (s *privateSite) resultHandlers() string {
	var b strings.Builder
	for _, r := range s.results {
		to := "away" // the event waits for the API
		switch {
		case r.name == "pruned", r.options == "delete_after_delivery":
			to = "good good-binary" // nothing waits for the transcription any more
		case r.ends:
			to = "good good-binary good-raw refusing away-structured"
		}
		fmt.Fprintf(&b, `
	scribegate /result/%[1]s soniox {
		header X-Webhook-Secret {env.PLANTED_SONIOX}
		source %[6]s%[1]s
		api_key {env.PLANTED_API_KEY}
		api_base %[2]s
		api_rate 60000
		fetch_timeout 100ms
		webhook_url %[3]s/result/%[1]s
		%[5]s
		deliver_to %[4]s
	}
`, r.name, r.base, s.url, to, r.options, resultSource)
	}
	return b.String()
}

// resultRequests are the webhooks of the transcriptions.
func (s *privateSite) resultRequests() []*http.Request {
	var all []*http.Request
	for _, r := range s.results {
		if r.missed {
			continue
		}
		status := standin.Completed
		if r.fails {
			status = standin.Failed
		}
		all = append(all, s.soniox("/result/"+r.name, fmt.Sprintf(`{"id":%q,"status":%q}`, r.id, status), without("Authorization"), set(sonioxHeader, s.sonioxes[0])))
	}
	return all
}

// completed waits until each API was asked and the results are delivered. It fails the test
// if upstreams receive less of a result than they should, or more.
func (s *privateSite) completed(answers []answered) {
	s.t.Helper()
	for _, a := range answers {
		if a.status != http.StatusOK {
			s.t.Fatalf("%s: %d %s", a.URL.Path, a.status, a.body)
		}
	}
	ends := 0
	for _, r := range s.results {
		if r.ends {
			ends++
		}
	}
	var bodies strings.Builder
	eventually(s.t, "the results to be delivered", func() bool {
		bodies.Reset()
		n := 0
		for _, d := range s.good.deliveries() {
			if strings.Contains(string(d.body), `"source":"`+resultSource) {
				bodies.Write(d.body)
				n++
			}
		}
		return n == ends
	})
	for _, r := range s.results {
		eventually(s.t, "the API to be asked for "+r.name, r.asked)
	}
	found := s.found([]byte(bodies.String()))
	for _, what := range deliveredOfResults {
		if found[what] == "" {
			s.t.Errorf("no upstream receives %s", what)
		}
	}
	for _, what := range keptOfResults {
		if found[what] != "" {
			s.t.Errorf("an upstream receives %s: %s", what, found[what])
		}
	}
}

// allowedResults fails the test unless an export with payloads has what was fetched: else
// the search of the queue's files would prove nothing.
func (s *privateSite) allowedResults(export string) {
	s.t.Helper()
	found := s.found([]byte(export))
	for _, what := range append([]string{"a recovered note"}, deliveredOfResults...) {
		if found[what] == "" {
			s.t.Errorf("an export with payloads has no %s", what)
		}
	}
}
