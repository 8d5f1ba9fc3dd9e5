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
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

func main() {
	// SIGPIPE comes where the output is cut off, as by head, and would end the
	// program before it has ended the gateway.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

// run stages the incidents, shows them and, where that is asked for, writes them
// into the README.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("operations", flag.ContinueOnError)
	caddy := flags.String("caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	monitoring := flags.String("monitoring", filepath.Join("examples", "monitoring"), "`folder` of the alerts")
	readme := flags.String("write", "", "`file` whose blocks are replaced, such as README.md")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	n, err := spend(ctx, binary, *monitoring, out)
	if err != nil || *readme == "" {
		return err
	}
	return rewrite(*readme, n.blocks)
}

// A night is all incidents, as they went.
type night struct {
	blocks    []block
	sightings []sighting
}

// nightTimeout is how long all of it may take.
const nightTimeout = 3 * time.Minute

// spend stages the incidents one after the other at one gateway, and shows them.
// alerts is the folder of the monitoring.
func spend(ctx context.Context, binary, alerts string, out io.Writer) (n night, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, nightTimeout, fmt.Errorf("%s are over", nightTimeout))
	defer cancel()
	m, err := readMonitoring(alerts)
	if err != nil {
		return n, err
	}
	dir, err := os.MkdirTemp("", "scribegate-operations-")
	if err != nil {
		return n, fmt.Errorf("making a directory for the stage: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := startSite(ctx, binary, dir, out)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	for _, incident := range []func(context.Context) (sighting, error){s.away, s.rotated, s.broken, s.dead} {
		seen, err := incident(ctx)
		if err != nil {
			return n, fmt.Errorf("%w; the gateway printed last:\n%s", err, s.gateway.Tail(20))
		}
		n.sightings = append(n.sightings, seen)
	}
	table, err := tableOf(n.sightings, m)
	if err != nil {
		return n, err
	}
	s.keep("seen", table)
	n.blocks = s.blocks
	return n, nil
}
