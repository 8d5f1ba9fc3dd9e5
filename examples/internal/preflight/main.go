// Command preflight looks, before `make run` starts anything, at the addresses
// that the root Caddyfile and the demonstration backend are about to listen on. It
// reads the configuration that the Caddyfile adapts to, and prints what run.sh
// needs to know, as assignments for a shell. If something already listens there, it
// prints what it is and which variables to set, and exits with status 1: Caddy would
// share the port, and each gateway would answer some of the requests.
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
			p.backend = "" // the user's own
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
