package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/document"
)

// chapter is the documentation with the blocks.
var chapter = filepath.Join("..", "README.md")

// TestREADMEHasTheBlocks checks that every marker in the chapter is spelled correctly, and
// that the blocks have the most important commands.
func TestREADMEHasTheBlocks(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(chapter)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	blocks := document.Marked(text, program)
	if n := strings.Count(text, "examples/operations: "); len(blocks) == 0 || n != len(blocks) {
		t.Fatalf("the chapter has %d markers and %d blocks", n, len(blocks))
	}
	if err := document.Differences(blocks, blocks); err != nil {
		t.Error(err)
	}
	all := ""
	for _, b := range blocks {
		all += b.Text
	}
	for _, command := range []string{"status", "events --state dead", "show", "verify", "send", "recover soapnoteapi", "replay --since", "replay --dead --upstream ehr"} {
		if !strings.Contains(all, "\n$ caddy scribegate "+command) && !strings.HasPrefix(all, "$ caddy scribegate "+command) {
			t.Errorf("no block has the command %q", command)
		}
	}
}
