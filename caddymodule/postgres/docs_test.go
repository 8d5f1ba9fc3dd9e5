package postgres

import (
	"os"
	"path/filepath"
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
		checkConfiguration(t, s[1])
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

// checkConfiguration fails the test if a Caddyfile is not valid.
func checkConfiguration(t *testing.T, text string) {
	t.Helper()
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
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
}

// The Caddyfiles of the examples with this engine are valid.
func TestExamples(t *testing.T) {
	secrets := t.TempDir()
	t.Setenv("SCRIBEGATE_SECRETS", secrets)
	t.Setenv("SECRETS", secrets)
	key := seal.NewKey().Encode()
	for name, value := range map[string]string{
		"dsn": "postgres://clinic@db.example/scribegate", "key": key, "encryption": key, "signing": "whsec_" + key,
		"soapnote": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "soniox": "a-secret-of-these-tests",
	} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob("../../examples/*/*.caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "queue postgres") {
			continue // package caddymodule tests it
		}
		tested++
		t.Run(filepath.Base(file), func(t *testing.T) { checkConfiguration(t, string(text)) })
	}
	if tested == 0 {
		t.Error("no example has this engine")
	}
}
