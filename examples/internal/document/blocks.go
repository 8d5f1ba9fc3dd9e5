package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// mark matches a block in a document: an HTML comment with the block's name, and the fenced
// code block below it.
var mark = regexp.MustCompile("(?ms)^(<!-- examples/operations: ([^\n]+) -->\n```[a-z]*\n)(.*?)^```$")

// marked returns the blocks of a document.
func marked(document string) []block {
	all := mark.FindAllStringSubmatch(document, -1)
	blocks := make([]block, 0, len(all))
	for _, found := range all {
		blocks = append(blocks, block{name: found[2], text: found[3]})
	}
	return blocks
}

// differences returns an error unless both have blocks of the same names, each once.
func differences(have, want []block) error {
	missing := make(map[string]bool)
	for _, b := range want {
		missing[b.name] = true
	}
	var wrong []error
	for _, b := range have {
		if !missing[b.name] {
			wrong = append(wrong, fmt.Errorf("the document's block %q is unknown, or is there twice", b.name))
		}
		delete(missing, b.name)
	}
	for _, b := range want {
		if missing[b.name] {
			wrong = append(wrong, fmt.Errorf("the document has no block %q", b.name))
		}
	}
	return errors.Join(wrong...)
}

// replaced returns the document with the texts of these blocks. The document must have each
// of them once, and no others.
func replaced(document string, blocks []block) (string, error) {
	if err := differences(marked(document), blocks); err != nil {
		return "", err
	}
	texts := make(map[string]string)
	for _, b := range blocks {
		texts[b.name] = b.text
	}
	return mark.ReplaceAllStringFunc(document, func(found string) string {
		parts := mark.FindStringSubmatch(found)
		return parts[1] + strings.TrimRight(texts[parts[2]], "\n") + "\n```"
	}), nil
}

// rewrite replaces the blocks in a file with these.
func rewrite(file string, blocks []block) error {
	document, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the document: %w", err)
	}
	text, err := replaced(string(document), blocks)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil { //nolint:gosec // a document for everybody
		return fmt.Errorf("writing the blocks: %w", err)
	}
	return nil
}
