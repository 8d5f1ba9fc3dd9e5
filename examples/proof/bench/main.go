package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
)

func main() {
	// SIGPIPE comes if the reader of the output ends first, such as head, and would end
	// the program before it has stopped the gateway.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

// findBinaries returns the paths of the one or two gateways to measure.
func (o options) findBinaries() ([]string, error) {
	binary, err := stage.Caddy(o.caddy)
	if err != nil || o.against == "" {
		return []string{binary}, err
	}
	against, err := filepath.Abs(o.against)
	if err == nil {
		_, err = os.Stat(against)
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the gateway of -against: %w", err)
	}
	return []string{binary, against}, nil
}

// run runs and prints the measurements that args select. It prints the results that it has also if
// it returns an error.
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
			fmt.Fprintf(out, "%-14s %s\n", l.Name, l.Text)
		}
		return nil
	}
	binaries, err := o.findBinaries()
	if err != nil {
		return err
	}
	b := &bench{options: o, binaries: binaries, binary: binaries[0], log: log, secrets: gateway.NewSecrets()}
	remove, err := b.makeDir()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	stopServer, err := b.startPostgres()
	if err != nil {
		return err
	}
	defer stopServer()

	r, measured := b.measure(ctx)
	r.Print(out)
	return errors.Join(measured, r.Save(o.markdown, o.svg))
}
