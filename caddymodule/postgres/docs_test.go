package postgres

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/scribegate/scribegate/forwarder/seal"
)

// The Caddyfiles of the chapter are valid, and its table has each option.
func TestDocumentation(t *testing.T) {
	t.Setenv("SCRIBEGATE_DSN", "postgres://clinic@db.example/scribegate")
	t.Setenv("SCRIBEGATE_KEY", seal.NewKey().Encode())
	t.Setenv("SOAPNOTE_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	snippets := regexp.MustCompile("(?s)```caddyfile postgres\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(snippets) == 0 {
		t.Error("the chapter has no Caddyfile")
	}
	for _, s := range snippets {
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(s[1]), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Fatal(err)
		}
		cfg := new(caddy.Config)
		if err := caddy.StrictUnmarshalJSON(adapted, cfg); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(cfg); err != nil {
			t.Error(err)
		}
		for _, name := range subdirectives {
			if !strings.Contains(s[1], "\t"+name+" ") {
				t.Errorf("the Caddyfile does not show %s", name)
			}
		}
	}
	for _, name := range subdirectives {
		if !strings.Contains(string(text), "\n| `"+name+" ") {
			t.Errorf("no table explains %s", name)
		}
	}
}
