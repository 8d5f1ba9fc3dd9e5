package main

import (
	"os"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/document"
)

// TestREADMEHasTheBlocks checks that every marker in the chapter is spelled correctly, and that
// no block is empty.
func TestREADMEHasTheBlocks(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := document.Marked(string(content), program)
	if n := strings.Count(string(content), program+": "); len(blocks) == 0 || n != len(blocks) {
		t.Fatalf("the chapter has %d markers and %d blocks", n, len(blocks))
	}
	for _, b := range blocks {
		if !strings.HasPrefix(b.Text, "$ ") {
			t.Errorf("the block %q has no command", b.Name)
		}
	}
}
