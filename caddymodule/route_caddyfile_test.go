package caddymodule

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	// A directive without a place in Caddy's order, whose handler has no JSON, of which the
	// adapter warns.
	caddy.RegisterModule(unordered{})
	httpcaddyfile.RegisterHandlerDirective("unordered", func(httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		return unordered{}, nil
	})
}

type unordered struct{}

func (unordered) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.unordered", New: func() caddy.Module { return new(unordered) }}
}

func (unordered) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON of this") }

func (unordered) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}

// A scribegate that a route imports is an error with its own file and line.
func TestAnImportedScribegateInARouteIsRefused(t *testing.T) {
	const directive = "scribegate soapnoteapi {\n\t\tsecret {env.SOAPNOTE_SECRET}\n\t}\n"
	file := filepath.Join(t.TempDir(), "hooks")
	// Its line is that of the route, which is in another file.
	if err := os.WriteFile(file, []byte(strings.Repeat("\n", 11)+directive), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ content, at string }{
		"from a snippet":          {"import hooks", "Caddyfile:2"},
		"twice":                   {"respond /x 204\nimport hooks\nimport hooks", "Caddyfile:2"},
		"deep in the route":       {"handle {\nroute {\nimport hooks\n}\n}", "Caddyfile:2"},
		"by way of a snippet":     {"import more", "Caddyfile:2"},
		"from a file":             {"import " + file, file + ":12"},
		"in a handle_response":    {"reverse_proxy a:9 {\nhandle_response {\nimport hooks\n}\n}", "Caddyfile:2"},
		"in the handle of a file": {"handle {\nimport " + file + "\n}", file + ":12"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := adapt("(hooks) {\n" + directive + "}\n(more) {\nimport hooks\n}\n" + "{\nscribegate {\nupstream ehr {\nroute {\n" + c.content + "\n}\n}\n}\n}\n")
			if want := c.at + ": a scribegate directive in an upstream's route would send events in a loop"; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		})
	}
}

func TestAUserNamedScribegateIsNoDirective(t *testing.T) {
	const hash = "$2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG"
	if _, err := adapt("{\nscribegate {\nupstream ehr {\nroute {\nbasic_auth {\nscribegate " + hash + "\nlog " + hash + "\n}\nrespond 204\n}\n}\n}\n}\n"); err != nil {
		t.Error(err)
	}
}

// The adapter's warnings about a route are logged: a global option cannot add to the adapter's
// own list of warnings.
func TestAdapterWarningsInARoute(t *testing.T) {
	s := newSite(t)
	s.load(captureLog, "respond 204") // Caddy's log while the next is adapted
	captured.reset()
	if _, err := adapt("{\nscribegate {\nupstream ehr {\nroute {\nunordered\nrespond 204\n}\n}\n}\n}\n"); err != nil {
		t.Fatal(err)
	}
	lines := captured.with(t, "json: error calling MarshalJSON")
	if len(lines) != 1 || lines[0]["level"] != "warn" || lines[0]["upstream"] != "ehr" || lines[0]["file"] != "Caddyfile" || lines[0]["line"] != 4.0 {
		t.Errorf("lines %v, want a warning of upstream ehr and Caddyfile:4", lines)
	}
}

// Code may read a handler's directive without the rest of the Caddyfile, and so without an app. The
// names of the upstreams are then checked when the configuration is provisioned.
func TestHandlerDirectiveWithoutAnApp(t *testing.T) {
	const directive = "scribegate soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to ehr warehouse\n}"
	h := new(Handler)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(directive)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.DeliverTo, []string{"ehr", "warehouse"}) {
		t.Errorf("deliver_to %q", h.DeliverTo)
	}
	twice := strings.Replace(directive, "ehr warehouse", "ehr ehr", 1)
	if err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(twice)); err == nil || !strings.Contains(err.Error(), "names the upstream ehr twice") {
		t.Errorf("error %v", err)
	}
}
