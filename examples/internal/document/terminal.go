package main

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

// A command is a line that the person on call types, and its expected result.
type command struct {
	line  string
	input string // standard input, which is not shown
	fails bool   // whether the exit status should not be 0

	then func(context.Context) error // runs before the next command; may be nil
}

// A block is a code block of the documentation: commands with their output.
type block struct{ name, text string }

// A console runs commands in a shell and keeps their output as blocks.
type console struct {
	dir    string
	env    []string
	places places
	out    io.Writer // receives each block at once
	blocks []block
}

// run runs commands one after the other and keeps them as a block. It returns an error if a
// command has the wrong exit status, or prints nothing although it should.
func (c *console) run(ctx context.Context, name string, commands ...command) error {
	var text strings.Builder
	for _, one := range commands {
		output, err := c.execute(ctx, one)
		fmt.Fprintf(&text, "$ %s\n%s", one.line, output)
		if err != nil {
			return fmt.Errorf("%s: %s: %w\n%s", name, one.line, err, output)
		}
		if one.then == nil {
			continue
		}
		if err := one.then(ctx); err != nil {
			return fmt.Errorf("%s: after %s: %w", name, one.line, err)
		}
	}
	c.keep(name, text.String())
	return nil
}

// keep adds a block and prints it.
func (c *console) keep(name, text string) {
	c.blocks = append(c.blocks, block{name, text})
	fmt.Fprintf(c.out, "== %s\n%s\n", name, text)
}

func (c *console) execute(ctx context.Context, one command) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it did not end within %s", commandTimeout))
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", c.places.toReal(one.line))
	sh.Dir, sh.Env = c.dir, c.env
	sh.Stdin = strings.NewReader(one.input)
	var output bytes.Buffer
	sh.Stdout, sh.Stderr = &output, &output
	err := sh.Run()
	_, exited := errors.AsType[*exec.ExitError](err)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case one.fails && exited:
		err = nil
	case one.fails && err == nil:
		err = errors.New("exit status 0, want an error")
	case err == nil && output.Len() == 0 && one.input == "":
		err = errors.New("it printed nothing")
	}
	return c.places.toShown(output.String()), err
}

// A place is an address or a folder: the one in the documentation, and the real one.
type place struct{ shown, real string }

// places translate between the two. No place may be a part of another one.
type places []place

// toReal returns a command with the real places.
func (p places) toReal(command string) string {
	return p.replacer(func(one place) (string, string) { return one.shown, one.real }).Replace(command)
}

// toShown returns a command's output with the documentation's places.
func (p places) toShown(output string) string {
	return p.replacer(func(one place) (string, string) { return one.real, one.shown }).Replace(output)
}

func (p places) replacer(direction func(place) (from, to string)) *strings.Replacer {
	pairs := make([]string, 0, 2*len(p))
	for _, one := range p {
		from, to := direction(one)
		pairs = append(pairs, from, to)
	}
	return strings.NewReplacer(pairs...)
}
