package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

func main() {
	// SIGPIPE comes where the output is cut off, as by head, and would end the
	// program before it has ended the gateway.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

// run measures what was asked for, and prints it. What could not be measured is
// its error, beside whatever could.
func run(ctx context.Context, args []string, out, log io.Writer) (err error) {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.list {
		for _, l := range o.lines() {
			fmt.Fprintf(out, "%-14s %s\n", l.name, l.text)
		}
		return nil
	}
	binary, err := stage.Caddy(o.caddy)
	if err != nil {
		return err
	}
	b := &bench{options: o, binary: binary, log: log, secrets: newSecrets()}
	remove, err := b.room()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	r, measured := b.measure(ctx)
	r.print(out)
	return errors.Join(measured, r.save(o))
}
