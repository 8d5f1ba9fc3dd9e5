package document

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sample = "Before.\n\n<!-- examples/operations: away -->\n```console\n$ old\nold\n```\n\nBetween `x`.\n\n```sh\n$ not ours\n```\n" +
	"<!-- examples/operations: away, over -->\n```\nold too\n```\n"

func TestReplaced(t *testing.T) {
	t.Parallel()
	got, err := Replaced(sample, "examples/operations", []Block{{"away", "$ new\n$1 new\n\n"}, {"away, over", "new too"}})
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("$ old\nold\n", "$ new\n$1 new\n", "old too", "new too").Replace(sample)
	if got != want {
		t.Errorf("Replaced() =\n%s\nwant\n%s", got, want)
	}
	have := Marked(got, "examples/operations")
	if len(have) != 2 || have[0] != (Block{"away", "$ new\n$1 new\n"}) || have[1].Text != "new too\n" {
		t.Errorf("Marked() = %q", have)
	}
}

func TestReplacedRejects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		document string
		blocks   []Block
		want     string
	}{
		"an unknown block":           {sample, []Block{{"away", ""}}, `"away, over" is unknown`},
		"a block that is missing":    {sample, []Block{{"away", ""}, {"away, over", ""}, {"dead", ""}}, `no block "dead"`},
		"a block twice":              {sample + sample, []Block{{"away", ""}, {"away, over", ""}}, `"away" is unknown, or is there twice`},
		"a block of another program": {"<!-- examples/other: away -->\n```\nold\n```\n", []Block{{"away", ""}}, `no block "away"`},
		"a comment without a fence":  {"<!-- examples/operations: away -->\n", []Block{{"away", ""}}, `no block "away"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Replaced(tt.document, "examples/operations", tt.blocks); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Replaced() = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestRewrite(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "README.md")
	if err := Rewrite(file, "examples/operations", nil); err == nil {
		t.Error("Rewrite() of a missing file = nil")
	}
	if err := os.WriteFile(file, []byte(sample), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Rewrite(file, "examples/operations", []Block{{"away", "$ new"}}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Rewrite() = %v, want an error that names the file", err)
	}
	if got, _ := os.ReadFile(file); string(got) != sample {
		t.Errorf("after an error the file is\n%s", got)
	}
	if err := Rewrite(file, "examples/operations", []Block{{"away", "$ new"}, {"away, over", "x"}}); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); !strings.Contains(string(got), "```console\n$ new\n```\n\nBetween") {
		t.Errorf("the file is\n%s", got)
	}
}
