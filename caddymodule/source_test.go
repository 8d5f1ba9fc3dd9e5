package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/verifier/event"
)

// The source of an account may come from the environment or a file. The event, its id and the
// credential of a raw delivery depend on the resolved value.
func TestSourceByPlaceholder(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "clinic")
	if err := os.WriteFile(file, []byte("clinic-2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CLINIC", "urn:clinic:1")
	t.Setenv("SECOND_SECRET", "second-soniox-value")
	s, structured, raw := newSite(t), newBackend(t), newBackend(t)
	app := "scribegate {\nQUEUE\nupstream ehr " + structured.URL + "\nupstream old " + raw.URL + " {\nformat raw\n}\n}"
	site := `
		scribegate /a soniox {
			header X-Webhook-Secret {env.SONIOX_SECRET}
			source {env.CLINIC}
			deliver_to ehr old
		}
		scribegate /b soniox {
			header X-Webhook-Secret {env.SECOND_SECRET}
			source https://example.com/{file.` + file + `}/
			deliver_to ehr old
		}`
	cfg, err := adapt(s.caddyfile(app, site))
	if err != nil {
		t.Fatal(err)
	}
	for _, placeholder := range []string{"{env.CLINIC}", "{file." + file + "}"} {
		if !strings.Contains(string(cfg), placeholder) {
			t.Errorf("%s is not in the JSON: %s", placeholder, cfg)
		}
	}
	s.load(app, site)

	body := transcription("same-for-both")
	do(t, s.soniox("/a", body)).id(t)
	second := s.soniox("/b", body)
	second.Header.Set(sonioxHeader, "second-soniox-value")
	if r := do(t, second); strings.Contains(r.body, "duplicate") {
		t.Errorf("an event of another source is a duplicate: %s", r.body)
	}

	sources := make(map[string]bool)
	for _, d := range structured.wait(t, 2) {
		var e event.Event
		if err := json.Unmarshal(d.body, &e); err != nil {
			t.Fatal(err)
		}
		sources[e.Source] = true
	}
	if len(sources) != 2 || !sources["urn:clinic:1"] || !sources["https://example.com/clinic-2/"] {
		t.Errorf("sources %v", sources)
	}
	values := make(map[string]bool)
	for _, d := range raw.wait(t, 2) {
		values[d.header.Get(sonioxHeader)] = true
	}
	if len(values) != 2 || !values[testSoniox] || !values["second-soniox-value"] {
		t.Errorf("raw deliveries with %d of the two values", len(values))
	}
}
