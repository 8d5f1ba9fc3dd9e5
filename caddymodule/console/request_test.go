package console

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestMissingSlash(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ original, stripped, want string }{
		"a page":                 {"/ops/events", "/events", ""},
		"the root of a site":     {"/", "/", ""},
		"the root of a path":     {"/ops/", "/", ""},
		"a path without a slash": {"/ops", "/", "./ops/"},
		"stripped completely":    {"/a/ops", "", "./ops/"},
		"a query":                {"/ops?state=dead", "/?state=dead", "./ops/?state=dead"},
		"a space":                {"/o%20ps", "/", "./o%20ps/"},
		"a colon":                {"/javascript:alert(1)", "/", "./javascript:alert%281%29/"},
		"another host":           {"//evil.example.com", "/", "./evil.example.com/"},
		"a backslash":            {"/%5Cevil.example.com", "/", "./%5Cevil.example.com/"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+c.original, nil)
		if err != nil {
			t.Fatal(err)
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, new(caddyhttp.Server))
		if r.URL, err = url.Parse("http://localhost" + c.stripped); err != nil {
			t.Fatal(err)
		}
		if got := missingSlash(r); got != c.want {
			t.Errorf("%s: redirected to %q, want %q", name, got, c.want)
		}
	}
}
