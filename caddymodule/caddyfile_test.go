package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

var update = flag.Bool("update", false, "write what the goldens in testdata/caddyfile become")

// separator stands between a golden's Caddyfile and what becomes of it.
const separator = "----------\n"

// TestCaddyfile adapts the goldens: a Caddyfile, ten dashes, and the JSON or
// the error that it becomes.
func TestCaddyfile(t *testing.T) {
	files := goldens(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			text, want := readGolden(t, file)
			cfg, err := adapt(text)
			var got string
			if err != nil {
				got = err.Error() + "\n"
			} else {
				got = indent(t, cfg)
			}
			if *update {
				if err := os.WriteFile(file, []byte(text+separator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("adapts to\n%s\nwant\n%s", got, want)
			}
			if wantErr := strings.HasPrefix(filepath.Base(file), "error_"); wantErr != (err != nil) {
				t.Errorf("error %v, which the golden's name does not say", err)
			}
			if err == nil {
				t.Setenv("BILLING_URL", "http://127.0.0.1:9002")
				t.Setenv("SCRIBEGATE_KEY", testKey)
				if err := validate(withoutHealthChecks(t, cfg)); err != nil {
					t.Errorf("what it adapts to is not valid: %v", err)
				}
			}
		})
	}
}

// testKey is the base64 of 32 bytes.
const testKey = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="

func goldens(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) < 10 {
		tb.Fatalf("%d goldens, error %v", len(files), err)
	}
	return files
}

func readGolden(tb testing.TB, file string) (text, want string) {
	tb.Helper()
	golden, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	text, want, ok := strings.Cut(string(golden), separator)
	if !ok {
		tb.Fatalf("%s has no line of ten dashes", file)
	}
	return text, want
}

// indent makes JSON readable.
func indent(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String() + "\n"
}

// withoutHealthChecks takes reverse_proxy's active health checks out of a
// configuration. Caddy begins them when it provisions: even a validation would
// look up w1 and call it, and the check reads the chain of modules while the
// next module writes it, which the race detector sees in Caddy's own handlers.
func withoutHealthChecks(t *testing.T, cfg []byte) []byte {
	t.Helper()
	var tree any
	if err := json.Unmarshal(cfg, &tree); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(node any) {
		switch n := node.(type) {
		case map[string]any:
			if n["handler"] == "reverse_proxy" {
				delete(n, "health_checks")
			}
			for _, child := range n {
				walk(child)
			}
		case []any:
			for _, child := range n {
				walk(child)
			}
		}
	}
	walk(tree)
	without, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return without
}

// validate does what `caddy validate` does with a configuration in JSON.
func validate(cfg []byte) error {
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(cfg, &c); err != nil {
		return err
	}
	return caddy.Validate(&c)
}
