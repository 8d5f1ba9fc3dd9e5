//go:build examples

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// TestNight stages everything and compares it with what the README shows.
func TestNight(t *testing.T) {
	binary, err := stage.Caddy(filepath.Join("..", "..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	n, err := spend(t.Context(), binary, filepath.Join("..", "monitoring"), &out)
	if err != nil {
		t.Fatalf("%v\nbefore:\n%s", err, out.String())
	}
	for _, wrong := range late(n.sightings) {
		t.Error(wrong)
	}
	t.Logf("\n%s", n.blocks[len(n.blocks)-1].text)

	shown := marked(string(document))
	if err := differences(shown, n.blocks); err != nil {
		t.Errorf("README.md: %v", err)
	}
	for i, b := range n.blocks {
		for _, s := range shown {
			if s.name == b.name && normal(s.text) != normal(b.text) {
				t.Errorf("README.md shows, at %q,\n%s\nand now it is\n%s\n(go run ./examples/operations -write README.md)", b.name, s.text, b.text)
			}
		}
		if i < len(shown) && shown[i].name != b.name {
			t.Errorf("README.md tells of %q before %q", shown[i].name, b.name)
		}
	}
}
