// Command preflight checks, before `make run` starts anything, whether the addresses of
// the root Caddyfile and of the demonstration backend are free. It reads the adapted
// Caddyfile from standard input, and prints the addresses for run.sh as assignments for a
// shell. If another program already listens on an address, it prints that program and the
// variables to set, and exits with status 1: Caddy would share the port, and each gateway
// would answer some of the requests.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config io.Reader, out io.Writer, getenv func(string) string) error {
	p, err := newPlan(config, getenv)
	if err != nil {
		return err
	}
	var busy []occupied
	for _, place := range p.places {
		if !listening(ctx, place.address) {
			continue
		}
		if place.upstream && getenv("SCRIBEGATE_UPSTREAM") != "" {
			p.backend = "" // the user's own backend
			continue
		}
		busy = append(busy, occupied{place, occupant(ctx, place.address)})
	}
	if len(busy) > 0 {
		return busyError(ctx, p, busy)
	}
	_, err = fmt.Fprint(out, p.assignments())
	return err
}
