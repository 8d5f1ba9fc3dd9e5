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
			got := ""
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
				if err := validate(cfg); err != nil {
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

// validate does what `caddy validate` does with a configuration in JSON.
func validate(cfg []byte) error {
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(cfg, &c); err != nil {
		return err
	}
	return caddy.Validate(&c)
}
