package document

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// commandTimeout is the maximum time for a command.
const commandTimeout = 20 * time.Second

// A Command is a line that an operator types, and its expected result.
type Command struct {
	Line   string
	Input  string // standard input, which is not shown
	Fails  bool   // whether the exit status should not be 0
	Silent bool   // whether it prints nothing

	Do   func(context.Context) error // runs instead of a shell; may be nil
	Then func(context.Context) error // runs before the next command; may be nil
}

// A Block is a code block of a document: commands with their output.
type Block struct{ Name, Text string }

// A Terminal runs commands in a shell and keeps their output as blocks.
type Terminal struct {
	Dir    string
	Env    []string
	Places Places
	Out    io.Writer // receives each block at once
	Blocks []Block
}

// Run runs commands one after the other and keeps them as a block. It returns an error if a
// command has the wrong exit status, or prints nothing although it should.
func (c *Terminal) Run(ctx context.Context, name string, commands ...Command) error {
	var text strings.Builder
	for _, one := range commands {
		output, err := c.Execute(ctx, one)
		fmt.Fprintf(&text, "$ %s\n%s", one.Line, output)
		if err != nil {
			return fmt.Errorf("%s: %s: %w\n%s", name, one.Line, err, output)
		}
		if one.Then == nil {
			continue
		}
		if err := one.Then(ctx); err != nil {
			return fmt.Errorf("%s: after %s: %w", name, one.Line, err)
		}
	}
	c.Keep(name, text.String())
	return nil
}

// Keep adds a block and prints it.
func (c *Terminal) Keep(name, text string) {
	c.Blocks = append(c.Blocks, Block{name, text})
	fmt.Fprintf(c.Out, "== %s\n%s\n", name, text)
}

// Execute runs a command, and returns its output as it is shown. It returns an error if the
// command has the wrong exit status, or prints nothing although it should.
func (c *Terminal) Execute(ctx context.Context, one Command) (string, error) {
	if one.Do != nil {
		return "", one.Do(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it did not end within %s", commandTimeout))
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", c.Places.Real(one.Line))
	sh.Dir, sh.Env = c.Dir, c.Env
	sh.Stdin = strings.NewReader(one.Input)
	var output bytes.Buffer
	sh.Stdout, sh.Stderr = &output, &output
	err := sh.Run()
	_, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case one.Fails && exited:
		err = nil
	case one.Fails && err == nil:
		err = errors.New("exit status 0, want an error")
	case err == nil && output.Len() == 0 && one.Input == "" && !one.Silent:
		err = errors.New("it printed nothing")
	}
	return c.Places.Shown(output.String()), err
}

// Places are pairs of an address or a folder in the document and the real one. None of them
// may be a part of another one.
type Places [][2]string

// Real returns a command with the real places.
func (p Places) Real(command string) string { return p.replaced(command, 0, 1) }

// Shown returns a command's output with the document's places.
func (p Places) Shown(output string) string { return p.replaced(output, 1, 0) }

func (p Places) replaced(text string, from, to int) string {
	pairs := make([]string, 0, 2*len(p))
	for _, one := range p {
		pairs = append(pairs, one[from], one[to])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
