package document

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// mark matches a block in a document: an HTML comment with the program that wrote the block
// and its name, and the fenced code block below it.
func mark(program string) *regexp.Regexp {
	return regexp.MustCompile("(?ms)^(<!-- " + regexp.QuoteMeta(program) + ": ([^\n]+) -->\n```[a-z]*\n)(.*?)^```$")
}

// Marked returns the blocks of a program in a document.
func Marked(document, program string) []Block {
	all := mark(program).FindAllStringSubmatch(document, -1)
	blocks := make([]Block, 0, len(all))
	for _, found := range all {
		blocks = append(blocks, Block{Name: found[2], Text: found[3]})
	}
	return blocks
}

// Differences returns an error unless both have blocks of the same names, each once.
func Differences(have, want []Block) error {
	missing := make(map[string]bool)
	for _, b := range want {
		missing[b.Name] = true
	}
	var wrong []error
	for _, b := range have {
		if !missing[b.Name] {
			wrong = append(wrong, fmt.Errorf("the document's block %q is unknown, or is there twice", b.Name))
		}
		delete(missing, b.Name)
	}
	for _, b := range want {
		if missing[b.Name] {
			wrong = append(wrong, fmt.Errorf("the document has no block %q", b.Name))
		}
	}
	return errors.Join(wrong...)
}

// Replaced returns the document with the texts of these blocks. The document must have each
// of them once, and no others.
func Replaced(document, program string, blocks []Block) (string, error) {
	if err := Differences(Marked(document, program), blocks); err != nil {
		return "", err
	}
	m, texts := mark(program), make(map[string]string)
	for _, b := range blocks {
		texts[b.Name] = b.Text
	}
	return m.ReplaceAllStringFunc(document, func(found string) string {
		parts := m.FindStringSubmatch(found)
		return parts[1] + strings.TrimRight(texts[parts[2]], "\n") + "\n```"
	}), nil
}

// Rewrite replaces the blocks of a program in a file with these.
func Rewrite(file, program string, blocks []Block) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the document: %w", err)
	}
	text, err := Replaced(string(document), program, blocks)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // a document for everybody
		return fmt.Errorf("writing the blocks: %w", err)
	}
	return nil
}
