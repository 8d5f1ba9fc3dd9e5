package report

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := Report{
		Machine:  []string{"a processor"},
		Sections: []Section{{"Ratios", testTable, []string{"Bare `respond` is bare."}}},
		Rows:     testRows(),
	}
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"a processor\n", "\nRatios\n\nline ", "\nBare respond is bare.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	markdown, svg := filepath.Join(dir, "b.md"), filepath.Join(dir, "b.svg")
	if err := r.Save(markdown, svg); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{markdown: "- a processor\n\n## Ratios\n\n| line | median |\n", svg: "</svg>"} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%q is not in %s: %s, %v", want, file, text, err)
		}
	}
	if err := r.Save(filepath.Join(dir, "missing", "b.md"), ""); err == nil {
		t.Error("Save() = nil for a directory that does not exist")
	}
}
