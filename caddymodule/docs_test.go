package caddymodule

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A snippet is a configuration in the documentation.
type snippet struct {
	line int
	kind string // what stands behind ```
	text string
}

// snippets finds the README's configurations.
func snippets(t *testing.T) (found []snippet) {
	t.Helper()
	content, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatalf("the README's configurations cannot be tested: %v", err)
	}
	var block *snippet
	lines := bufio.NewScanner(bytes.NewReader(content))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch kind, fence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case fence && block == nil:
			block = &snippet{line: n, kind: kind}
		case fence:
			found = append(found, *block)
			block = nil
		case block != nil:
			block.text += line + "\n"
		}
	}
	if err := lines.Err(); err != nil || block != nil {
		t.Fatalf("reading the README: error %v, or a block without an end", err)
	}
	return found
}

// documentedEnvironment sets what the documentation's configurations name: its
// secrets, and files that are not to be written where the tests run.
func documentedEnvironment(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"SOAPNOTE_SECRET", "SOAPNOTE_SECRET_NEXT"} {
		t.Setenv(name, testSecret)
	}
	t.Setenv("SONIOX_WEBHOOK_SECRET", testSoniox)
	t.Setenv("SONIOX_LAB_SECRET", "lab-"+testSoniox)
	t.Setenv("SCRIBEGATE_KEY", testKey)
	for _, name := range []string{"SIGNING_SECRET", "SCRIBEGATE_SIGNING_SECRET", "WAREHOUSE_SIGNING_SECRET", "EHR_SIGNING_SECRET"} {
		t.Setenv(name, testSigning)
	}
	t.Setenv("ACCESS_LOG", filepath.Join(dir, "access.log"))
	t.Setenv("AUDIT_LOG", filepath.Join(dir, "audit.log"))
	t.Setenv("QUEUE", filepath.Join(dir, "queue.db"))
	secrets, err := filepath.Abs("../examples/secrets")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("SCRIBEGATE_SECRETS", secrets)
}

func TestDocumentedConfigurations(t *testing.T) {
	documentedEnvironment(t)
	found := snippets(t)
	tested := make(map[string]int)
	for _, s := range found {
		language, _, _ := strings.Cut(s.kind, " ")
		if language != "caddyfile" && s.kind != "json config" {
			continue
		}
		tested[language]++
		t.Run(fmt.Sprintf("README line %d", s.line), func(t *testing.T) {
			var cfg []byte
			var err error
			switch s.kind {
			case "json config":
				cfg = []byte(s.text)
			case "caddyfile":
				cfg, err = adapt(s.text)
			case "caddyfile fragment-app":
				cfg, err = adapt("{\nscribegate {\n" + s.text + "}\n}\n")
			case "caddyfile fragment-site":
				cfg, err = adapt("{\nscribegate {\nupstream ehr http://127.0.0.1:9000\nupstream warehouse http://127.0.0.1:9001\n}\n}\nhttp://localhost:8080 {\n" + s.text + "}\n")
			default:
				t.Fatalf("a block %q is of no kind that is tested", s.kind)
			}
			if err == nil {
				err = validate(withoutHealthChecks(t, cfg))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	if tested["caddyfile"] == 0 || tested["json"] == 0 {
		t.Errorf("the README has %d Caddyfiles and %d configurations in JSON", tested["caddyfile"], tested["json"])
	}
}

func TestShippedConfigurations(t *testing.T) {
	documentedEnvironment(t)
	files := []string{"../Caddyfile"}
	for _, pattern := range []string{"../examples/*.caddyfile", "../examples/*/*.caddyfile", "../examples/*.json"} {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, matches...)
	}
	if len(files) < 6 {
		t.Errorf("found only %q", files)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".schema.json") {
			continue // a JSON Schema is no configuration
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			cfg, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(file) != ".json" {
				if cfg, err = adapt(string(cfg)); err != nil {
					t.Fatal(err)
				}
			}
			if err := validate(withoutHealthChecks(t, cfg)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEverySubdirectiveIsDocumented looks for each subdirective that is known in
// the README's Caddyfiles.
func TestEverySubdirectiveIsDocumented(t *testing.T) {
	found := snippets(t)
	var caddyfiles strings.Builder
	for _, s := range found {
		if language, _, _ := strings.Cut(s.kind, " "); language == "caddyfile" {
			caddyfiles.WriteString(s.text)
		}
	}
	for block, names := range map[string][]string{
		"the app": appSubdirectives, "an upstream": upstreamSubdirectives, "queue sqlite": sqliteSubdirectives,
		"the handler": handlerSubdirectives, "soapnoteapi": soapnoteapiSubdirectives, "soniox": sonioxSubdirectives,
	} {
		for _, name := range names {
			if !regexp.MustCompile(`(?m)^\s*` + name + `\b`).MatchString(caddyfiles.String()) {
				t.Errorf("no Caddyfile of the README shows %s of %s", name, block)
			}
		}
	}
}
