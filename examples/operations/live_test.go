//go:build examples

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// TestREADMEShowsTheOutput stages all incidents and compares the output with the
// chapter.
func TestREADMEShowsTheOutput(t *testing.T) {
	binary, err := stage.Caddy(filepath.Join("..", "..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(chapter)
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
	t.Logf("\n%s", r.blocks[len(r.blocks)-1].text)

	shown := marked(string(document))
	if err := differences(shown, r.blocks); err != nil {
		t.Errorf("%s: %v", chapter, err)
	}
	for i, b := range r.blocks {
		for _, s := range shown {
			if s.name == b.name && normal(s.text) != normal(b.text) {
				t.Errorf("%s shows for %q\n%s\nbut the output is\n%s\n(update it with: go run ./examples/operations -write examples/README.md)", chapter, b.name, s.text, b.text)
			}
		}
		if i < len(shown) && shown[i].name != b.name {
			t.Errorf("%s has the block %q where %q should be", chapter, shown[i].name, b.name)
		}
	}
}
