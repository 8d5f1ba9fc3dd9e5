package caddymodule

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// TestWhatIsNamedExists looks through the documentation and the sources for
// commands, flags, packages, make targets, files and headings that they name.
func TestWhatIsNamedExists(t *testing.T) {
	t.Parallel()
	scribegate := new(cobra.Command)
	caddycmd.Commands()["scribegate"].CobraFunc(scribegate)
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	n := named{t: t, makefile: string(makefile), commands: make(map[string]*cobra.Command), found: make(map[string]int)}
	for _, command := range scribegate.Commands() {
		n.commands[command.Name()] = command
	}
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(foreignFolders, entry.Name()):
			return filepath.SkipDir
		case entry.IsDir(), strings.HasSuffix(path, "_test.go"):
			return nil
		case slices.Contains([]string{".go", ".md", ".sh", ".yml", ".caddyfile", ""}, filepath.Ext(path)):
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n.check(path, string(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"command", "flag", "package", "target", "file", "heading"} {
		if n.found[kind] == 0 {
			t.Errorf("no %s is named anywhere: the test does not look", kind)
		}
	}
}

// foreignFolders are folders that hold nothing of this repository, or test data.
var foreignFolders = []string{".git", ".tools", "bin", "testdata", "node_modules"}

type named struct {
	t        *testing.T
	makefile string
	commands map[string]*cobra.Command
	found    map[string]int // by kind
}

var (
	namedCommand = regexp.MustCompile("caddy scribegate ([a-z]+)([^`\"\n|]*)")
	namedFlag    = regexp.MustCompile(`--([a-z][a-z-]*)`)
	namedPackage = regexp.MustCompile(`github\.com/scribegate/scribegate((?:/[A-Za-z0-9_-]+)*)`)
	namedTarget  = regexp.MustCompile("`make ([a-z-]+)")
	namedFile    = regexp.MustCompile(`\]\(([^):#]*)(?:#([^)]*))?\)`)
	heading      = regexp.MustCompile(`(?m)^#+ (.*)$`)
	codeBlock    = regexp.MustCompile("(?ms)^```.*?^```$")
	punctuation  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

func (n named) check(path, text string) {
	n.t.Helper()
	for _, m := range namedCommand.FindAllStringSubmatch(text, -1) {
		n.found["command"]++
		command := n.commands[m[1]]
		if command == nil {
			n.t.Errorf("%s names the command %q, which does not exist", path, m[1])
			continue
		}
		for _, sub := range command.Commands() { // of recover
			if strings.HasPrefix(m[2], " "+sub.Name()) {
				command = sub
			}
		}
		for _, flag := range namedFlag.FindAllStringSubmatch(m[2], -1) {
			n.found["flag"]++
			if command.Flag(flag[1]) == nil {
				n.t.Errorf("%s names the flag --%s of %s, which does not exist", path, flag[1], m[1])
			}
		}
	}
	for _, m := range namedPackage.FindAllStringSubmatch(text, -1) {
		n.found["package"]++
		if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(m[1]))); err != nil {
			n.t.Errorf("%s names the package %s, which does not exist", path, m[0])
		}
	}
	for _, m := range namedTarget.FindAllStringSubmatch(text, -1) {
		n.found["target"]++
		if !strings.Contains(n.makefile, "\n"+m[1]+":") {
			n.t.Errorf("%s names make %s, which does not exist", path, m[1])
		}
	}
	if filepath.Ext(path) != ".md" {
		return
	}
	for _, m := range namedFile.FindAllStringSubmatch(text, -1) {
		n.found["file"]++
		file := path // of a link into the same file
		if m[1] != "" {
			file = filepath.Join(filepath.Dir(path), filepath.FromSlash(m[1]))
		}
		if _, err := os.Stat(file); err != nil {
			n.t.Errorf("%s links to %s, which does not exist", path, m[1])
			continue
		}
		if m[2] == "" {
			continue
		}
		n.found["heading"]++
		target, err := os.ReadFile(file)
		if err != nil || !slices.Contains(anchors(string(target)), m[2]) {
			n.t.Errorf("%s links to %s, which has no heading #%s (error: %v)", path, file, m[2], err)
		}
	}
}

// anchors returns the names that a renderer gives to the headings of a Markdown file.
func anchors(text string) (found []string) {
	for _, m := range heading.FindAllStringSubmatch(codeBlock.ReplaceAllString(text, ""), -1) {
		name := punctuation.ReplaceAllString(strings.ToLower(m[1]), "")
		found = append(found, strings.ReplaceAll(name, " ", "-"))
	}
	return found
}
