package caddymodule

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/console"
)

// A snippet is a configuration in the documentation.
type snippet struct {
	file string
	line int
	kind string // what stands behind ```
	text string
}

// chapters returns the documentation: each README of the repository, by its path. They are
// the front page and the chapters.
func chapters(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(foreignFolders, entry.Name()):
			return filepath.SkipDir
		case entry.Name() != "README.md":
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil || len(found) < 6 {
		t.Fatalf("found %d chapters of the documentation, error %v", len(found), err)
	}
	return found
}

// snippets returns the code blocks of the documentation.
func snippets(t *testing.T) (found []snippet) {
	t.Helper()
	for file, text := range chapters(t) {
		found = append(found, blocks(t, file, text)...)
	}
	return found
}

// blocks returns the code blocks of one chapter.
func blocks(t *testing.T, file, text string) (found []snippet) {
	t.Helper()
	var block *snippet
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch kind, fence := strings.CutPrefix(strings.TrimSpace(line), "```"); {
		case fence && block == nil:
			block = &snippet{file: file, line: n, kind: kind}
		case fence:
			found = append(found, *block)
			block = nil
		case block != nil:
			block.text += line + "\n"
		}
	}
	if err := lines.Err(); err != nil || block != nil {
		t.Fatalf("%s: error %v, or a block without an end", file, err)
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
	t.Setenv("SONIOX_API_KEY", "a-key-of-soniox-api")
	t.Setenv("SOAPNOTE_API_KEY", "snapi_sk_of_these_tests")
	t.Setenv("SCRIBEGATE_KEY", testKey)
	for _, name := range []string{"SIGNING_SECRET", "SCRIBEGATE_SIGNING_SECRET", "WAREHOUSE_SIGNING_SECRET", "EHR_SIGNING_SECRET"} {
		t.Setenv(name, testSigning)
	}
	t.Setenv("ALICE_HASH", aliceHash)
	t.Setenv("TEAM_CA", newCertificate(t, dir, "team").pem)
	t.Setenv("ACCESS_LOG", filepath.Join(dir, "access.log"))
	t.Setenv("AUDIT_LOG", filepath.Join(dir, "audit.log"))
	t.Setenv("QUEUE", filepath.Join(dir, "queue.db"))
	secrets := filepath.Join(dir, "secrets")
	if err := os.CopyFS(secrets, os.DirFS("../examples/secrets")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"encryption-key", "encryption"} {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(testKey), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SCRIBEGATE_SECRETS", secrets)
	t.Setenv("SECRETS", secrets)
	t.Setenv("CREDENTIALS_DIRECTORY", secrets)
}

func TestDocumentedConfigurations(t *testing.T) {
	documentedEnvironment(t)
	found := snippets(t)
	tested := make(map[string]int)
	for _, s := range found {
		language, _, _ := strings.Cut(s.kind, " ")
		if language != "caddyfile" && s.kind != "json config" || s.kind == "caddyfile postgres" { // which package postgres tests
			continue
		}
		tested[language]++
		t.Run(fmt.Sprintf("%s line %d", s.file, s.line), func(t *testing.T) {
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
		t.Errorf("the documentation has %d Caddyfiles and %d configurations in JSON", tested["caddyfile"], tested["json"])
	}
}

func TestShippedConfigurations(t *testing.T) {
	documentedEnvironment(t)
	files := []string{"../Caddyfile"}
	for _, pattern := range []string{"../examples/*.caddyfile", "../examples/*/*.caddyfile", "../examples/*.json", "../examples/deployment/*/Caddyfile", "../examples/deployment/*/*.caddyfile"} {
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
			if strings.Contains(string(cfg), "queue postgres") {
				return // package postgres tests it
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
// the documentation's Caddyfiles, and in its tables of options.
func TestEverySubdirectiveIsDocumented(t *testing.T) {
	found, reference := snippets(t), chapters(t)[filepath.Join("..", "caddymodule", "README.md")]
	var caddyfiles strings.Builder
	for _, s := range found {
		if language, _, _ := strings.Cut(s.kind, " "); language == "caddyfile" {
			caddyfiles.WriteString(s.text)
		}
	}
	for block, names := range map[string][]string{
		"the app": appSubdirectives, "an upstream": upstreamSubdirectives, "queue sqlite": sqliteSubdirectives,
		"the handler": handlerSubdirectives, "soapnoteapi": soapnoteapiSubdirectives, "soniox": sonioxSubdirectives,
		"the console": jsonNames(console.Console{}),
	} {
		for _, name := range names {
			if !regexp.MustCompile(`(?m)^\s*` + name + `\b`).MatchString(caddyfiles.String()) {
				t.Errorf("no Caddyfile of the documentation shows %s of %s", name, block)
			}
			if !regexp.MustCompile("(?m)^\\| `" + name + "\\b").MatchString(reference) {
				t.Errorf("no table of the reference explains %s of %s", name, block)
			}
		}
	}
}

// jsonNames returns the names of a module's options in JSON.
func jsonNames(module any) (names []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeOf(module)) {
		if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}
