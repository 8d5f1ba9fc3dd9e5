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

// run stages the incidents, prints them and, with -write, writes them into a document.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("operations", flag.ContinueOnError)
	caddy := flags.String("caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	monitoring := flags.String("monitoring", filepath.Join("examples", "monitoring"), "`folder` of prometheus.yml and rules.yml")
	readme := flags.String("write", "", "`file` in which to replace the blocks, such as examples/README.md")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	r, err := play(ctx, binary, *monitoring, out)
	if err != nil || *readme == "" {
		return err
	}
	return document.Rewrite(*readme, program, r.blocks)
}

// A result is the blocks and the measured times of all incidents.
type result struct {
	blocks    []document.Block
	incidents []incident
}

// program marks the blocks of this program in a document.
const program = "examples/operations"

// timeout is the maximum time for all incidents.
const timeout = 3 * time.Minute

// play stages the incidents one after the other with one gateway, and prints them. alerts is
// the folder of prometheus.yml and rules.yml.
func play(ctx context.Context, binary, alerts string, out io.Writer) (r result, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s are over", timeout))
	defer cancel()
	m, err := readMonitoring(alerts)
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "scribegate-operations-")
	if err != nil {
		return r, fmt.Errorf("making a directory for the gateway: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := startSite(ctx, binary, dir, out)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	for _, stageIncident := range []func(context.Context) (incident, error){s.away, s.rotated, s.broken, s.dead} {
		seen, err := stageIncident(ctx)
		if err != nil {
			return r, fmt.Errorf("%w; the gateway printed last:\n%s", err, s.gateway.Tail(20))
		}
		r.incidents = append(r.incidents, seen)
	}
	table, err := tableOf(r.incidents, m)
	if err != nil {
		return r, err
	}
	s.Keep("seen", table)
	r.blocks = s.Blocks
	return r, nil
}
