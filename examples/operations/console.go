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

// commandTimeout is how long a command may take.
const commandTimeout = 20 * time.Second

// A command is a line that the one on call types, and what should come of it.
type command struct {
	line  string
	input string // what is typed or pasted behind it, which is not shown
	fails bool   // whether its exit status is not 0

	then func(context.Context) error // is waited for before the next command; may be nil
}

// A block is commands with what they printed, as it stands in the README.
type block struct{ name, text string }

// A console runs commands in a shell and keeps what a terminal would show.
type console struct {
	dir    string
	env    []string
	places places
	out    io.Writer // is shown everything at once
	blocks []block
}

// run runs commands one after the other and makes a block of them. It is an error
// where one ends otherwise than it should, or prints nothing and should.
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

// keep adds a block and shows it.
func (c *console) keep(name, text string) {
	c.blocks = append(c.blocks, block{name, text})
	fmt.Fprintf(c.out, "== %s\n%s\n", name, text)
}

func (c *console) execute(ctx context.Context, one command) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, fmt.Errorf("it did not end within %s", commandTimeout))
	defer cancel()
	sh := exec.CommandContext(ctx, "sh", "-c", c.places.here(one.line))
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
		err = errors.New("exit status 0, which it should not have")
	case err == nil && output.Len() == 0 && one.input == "":
		err = errors.New("it printed nothing")
	}
	return c.places.there(output.String()), err
}

// A place is an address or a folder: as the README has it, and as it is here.
type place struct{ shown, real string }

// places translate between the two. A place must not be a part of another one.
type places []place

// here returns a command as it can be run.
func (p places) here(command string) string {
	return p.replacer(func(one place) (string, string) { return one.shown, one.real }).Replace(command)
}

// there returns what was printed as it would have been at the README's places.
func (p places) there(output string) string {
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
