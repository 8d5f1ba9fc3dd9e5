//go:build examples

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// TestREADMEShowsTheOutput does all the work and compares the output with the chapter.
func TestREADMEShowsTheOutput(t *testing.T) {
	binary, err := stage.Caddy(filepath.Join("..", "..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	blocks, err := play(t.Context(), binary, &out)
	if err != nil {
		t.Fatalf("%v\nbefore:\n%s", err, out.String())
	}
	shown := document.Marked(string(content), program)
	if err := document.Differences(shown, blocks); err != nil {
		t.Fatalf("README.md: %v", err)
	}
	for i, b := range blocks {
		if shown[i].Name != b.Name {
			t.Errorf("README.md has the block %q where %q should be", shown[i].Name, b.Name)
			continue
		}
		if want, got := steady(shown[i].Text), steady(b.Text); want != got {
			t.Errorf("README.md shows for %q\n%s\nbut the output is\n%s\n(update it with: go run ./examples/maintenance -write examples/maintenance/README.md)", b.Name, shown[i].Text, b.Text)
		}
	}
}

// steady returns a block's text without the parts that differ between runs. Of an upstream's
// status only the number of waiting events is always the same, and of an event not the number
// of attempts.
func steady(text string) string {
	text = document.Normal(text)
	text = regexp.MustCompile(`(?m)^(ehr \d+) .*$`).ReplaceAllString(text, "$1")
	text = regexp.MustCompile(`(?m)^(go|caddy|scribegate) \S+$`).ReplaceAllString(text, "$1 <version>")
	text = regexp.MustCompile(`(secret_matched_total\{index="0".*\}) \d+`).ReplaceAllString(text, "$1 <count>")
	text = regexp.MustCompile(`\b(queue|before)-\d{4}-\d\d-\d\d-\d{4}\.db`).ReplaceAllString(text, "$1-<time>.db")
	return regexp.MustCompile(`\bdelivered \d+ -`).ReplaceAllString(text, "delivered <attempts> -")
}
