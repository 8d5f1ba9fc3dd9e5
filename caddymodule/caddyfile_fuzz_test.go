package caddymodule

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/console"
	"github.com/scribegate/scribegate/caddymodule/internal/build"
)

// FuzzCaddyfile puts any text into the global option and into a site block. The
// adapter must not panic, and what it makes must be what the modules read.
func FuzzCaddyfile(f *testing.F) {
	for _, file := range goldens(f) {
		text, _ := readGolden(f, file)
		options, sites, ok := strings.Cut(text, "\n}\n\n")
		if !ok {
			options, sites = "", text
		}
		f.Add(inner(options), inner(sites))
	}
	f.Add("queue sqlite {\npath a\n}\nupstream a http://b { events * }", "scribegate soniox { header A b }")
	f.Add("upstream a http://b {\n{\n}\n}", "scribegate \"soniox\" {\nheader A b {\n}\n}")
	f.Add("upstream a {\nroute {\n}\n}\n}\nscribegate {", "}\nscribegate {")
	f.Add("signing_secret {\nrate_limit NaN", "scribegate soapnoteapi {\n\n{\nsecret \\{a\\}\n}\n}")
	f.Fuzz(func(t *testing.T, options, directives string) {
		text := "{\n\tscribegate {\n" + options + "\n\t}\n}\n\nhttp://localhost:8080 {\n" + directives + "\n}\n"
		// An import reads whatever file the text happens to name, and a
		// variable whatever the environment happens to hold.
		if len(text) > 8<<10 || strings.Contains(text, "import") || strings.Contains(text, "{$") {
			return
		}
		cfg, err := adapt(text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
			return
		}
		checkRoundTrip(t, cfg)
	})
}

// inner is what stands between the first "{" and the last "}", or behind it.
func inner(text string) string {
	_, text, _ = strings.Cut(text, "{\n")
	text = strings.TrimSuffix(strings.TrimSpace(text), "}")
	return strings.TrimPrefix(strings.TrimSpace(text), "scribegate {\n")
}

// checkRoundTrip sees that every Scribegate module of a configuration reads its
// JSON strictly and writes it again as it was.
func checkRoundTrip(t *testing.T, cfg []byte) {
	t.Helper()
	var c struct {
		Apps map[string]json.RawMessage `json:"apps"`
	}
	if err := json.Unmarshal(cfg, &c); err != nil {
		t.Fatal(err)
	}
	if raw, ok := c.Apps[appName]; ok {
		app := new(App)
		sameAgain(t, raw, "", app)
		if app.QueueRaw != nil {
			sameAgain(t, app.QueueRaw, "engine", new(SQLite))
		}
	}
	var http any
	if raw := c.Apps["http"]; raw != nil {
		if err := json.Unmarshal(raw, &http); err != nil {
			t.Fatal(err)
		}
	}
	for _, handler := range handlersIn(http, "scribegate_console") {
		raw, err := json.Marshal(handler)
		if err != nil {
			t.Fatal(err)
		}
		sameAgain(t, raw, "handler", new(console.Console))
	}
	for _, handler := range handlersIn(http, handlerName) {
		raw, err := json.Marshal(handler)
		if err != nil {
			t.Fatal(err)
		}
		h := new(Handler)
		sameAgain(t, raw, "handler", h)
		var provider struct {
			Name string `json:"name"`
		}
		if err := json.Unmarshal(h.ProviderRaw, &provider); err != nil {
			t.Fatal(err)
		}
		info, err := caddy.GetModule(build.ProviderNamespace + provider.Name)
		if err != nil {
			t.Fatal(err)
		}
		sameAgain(t, h.ProviderRaw, "name", info.New())
	}
}

// handlersIn finds the handlers with that name in a tree of JSON.
func handlersIn(node any, name string) []map[string]any {
	var found []map[string]any
	switch n := node.(type) {
	case map[string]any:
		if n["handler"] == name {
			found = append(found, n)
		}
		for _, child := range n {
			found = append(found, handlersIn(child, name)...)
		}
	case []any:
		for _, child := range n {
			found = append(found, handlersIn(child, name)...)
		}
	}
	return found
}

// sameAgain reads JSON without its inline key into a module, strictly, and
// compares what the module writes.
func sameAgain(t *testing.T, raw []byte, inlineKey string, module any) {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatalf("%T: %v in %s", module, err, raw)
	}
	delete(want, inlineKey)
	stripped, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.StrictUnmarshalJSON(stripped, module); err != nil {
		t.Fatalf("%T does not read %s: %v", module, stripped, err)
	}
	again, err := json.Marshal(module)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(again, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%T reads %s and writes %s", module, stripped, again)
	}
}
