package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/examples/internal/document"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

func main() { document.Main(run) }

// run does all the work, prints it and, with -write, writes it into a document.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("maintenance", flag.ContinueOnError)
	caddy := flags.String("caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	readme := flags.String("write", "", "`file` in which to replace the blocks, such as examples/maintenance/README.md")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	blocks, err := play(ctx, binary, out)
	if err != nil || *readme == "" {
		return err
	}
	return document.Rewrite(*readme, program, blocks)
}

// program marks the blocks of this program in a document.
const program = "examples/maintenance"

// timeout is the maximum time for all the work.
const timeout = 3 * time.Minute

// play does one work after the other on one machine, and prints the commands.
func play(ctx context.Context, binary string, out io.Writer) (blocks []document.Block, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s are over", timeout))
	defer cancel()
	dir, err := os.MkdirTemp("", "scribegate-maintenance-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the gateways: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := newSite(ctx, binary, dir, out)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, work := range []func(context.Context) error{s.restore, s.move, s.upgrade, s.rotate, s.grow, s.leave} {
		if err := work(ctx); err != nil {
			return nil, fmt.Errorf("%w\nthe gateway printed last:\n%s", err, s.tail())
		}
	}
	return s.Blocks, nil
}
