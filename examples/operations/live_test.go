//go:build examples

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// TestREADMEShowsTheOutput stages all incidents and compares the output with the
// chapter.
func TestREADMEShowsTheOutput(t *testing.T) {
	binary, err := stage.Caddy(filepath.Join("..", "..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(chapter)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r, err := play(t.Context(), binary, filepath.Join("..", "monitoring"), &out)
	if err != nil {
		t.Fatalf("%v\nbefore:\n%s", err, out.String())
	}
	for _, wrong := range tooSlow(r.incidents) {
		t.Error(wrong)
	}
	t.Logf("\n%s", r.blocks[len(r.blocks)-1].Text)

	shown := document.Marked(string(content), program)
	if err := document.Differences(shown, r.blocks); err != nil {
		t.Errorf("%s: %v", chapter, err)
	}
	for i, b := range r.blocks {
		for _, s := range shown {
			if s.Name == b.Name && document.Normal(s.Text) != document.Normal(b.Text) {
				t.Errorf("%s shows for %q\n%s\nbut the output is\n%s\n(update it with: go run ./examples/operations -write examples/README.md)", chapter, b.Name, s.Text, b.Text)
			}
		}
		if i < len(shown) && shown[i].Name != b.Name {
			t.Errorf("%s has the block %q where %q should be", chapter, shown[i].Name, b.Name)
		}
	}
}
