package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chapter is the documentation with the blocks.
var chapter = filepath.Join("..", "README.md")

const document = "Before.\n\n<!-- examples/operations: away -->\n```console\n$ old\nold\n```\n\nBetween `x`.\n\n```sh\n$ not ours\n```\n" +
	"<!-- examples/operations: away, over -->\n```\nold too\n```\n"

func TestReplaced(t *testing.T) {
	t.Parallel()
	got, err := replaced(document, []block{{"away", "$ new\n$1 new\n\n"}, {"away, over", "new too"}})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("$ old\nold\n", "$ new\n$1 new\n", "old too", "new too").Replace(document)
	if got != want {
		t.Errorf("replaced() =\n%s\nwant\n%s", got, want)
	}
	have := marked(got)
	if len(have) != 2 || have[0] != (block{"away", "$ new\n$1 new\n"}) || have[1].text != "new too\n" {
		t.Errorf("marked() = %q", have)
	}
}

func TestReplacedRejects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		document string
		blocks   []block
		want     string
	}{
		"an unknown block":          {document, []block{{"away", ""}}, `"away, over" is unknown`},
		"a block that is missing":   {document, []block{{"away", ""}, {"away, over", ""}, {"dead", ""}}, `no block "dead"`},
		"a block twice":             {document + document, []block{{"away", ""}, {"away, over", ""}}, `"away" is unknown, or is there twice`},
		"a comment without a fence": {"<!-- examples/operations: away -->\n", []block{{"away", ""}}, `no block "away"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := replaced(tt.document, tt.blocks); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("replaced() = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "README.md")
	if err := rewrite(file, nil); err == nil {
		t.Error("rewrite() of a missing file = nil")
	}
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rewrite(file, []block{{"away", "$ new"}}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("rewrite() = %v, want an error that names the file", err)
	}
	if got, _ := os.ReadFile(file); string(got) != document {
		t.Errorf("after an error the file is\n%s", got)
	}
	if err := rewrite(file, []block{{"away", "$ new"}, {"away, over", "x"}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); !strings.Contains(string(got), "```console\n$ new\n```\n\nBetween") {
		t.Errorf("the file is\n%s", got)
	}
}

// TestREADMEHasTheBlocks checks that every marker in the chapter is spelled correctly, and
// that the blocks have the most important commands.
func TestREADMEHasTheBlocks(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(chapter)
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	blocks := marked(text)
	if n := strings.Count(text, "examples/operations: "); len(blocks) == 0 || n != len(blocks) {
		t.Fatalf("the chapter has %d markers and %d blocks", n, len(blocks))
	}
	if err := differences(blocks, blocks); err != nil {
		t.Error(err)
	}
	all := ""
	for _, b := range blocks {
		all += b.text
	}
	for _, command := range []string{"status", "events --state dead", "show", "verify", "send", "recover soapnoteapi", "replay --since", "replay --dead --upstream ehr"} {
		if !strings.Contains(all, "\n$ caddy scribegate "+command) && !strings.HasPrefix(all, "$ caddy scribegate "+command) {
			t.Errorf("no block has the command %q", command)
		}
	}
}
