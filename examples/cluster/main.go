// Command cluster starts a PostgreSQL server, three gateways that share it, and a load
// balancer in front of them. It sends notes, each once, kills a gateway, and starts it
// again. Then it reports how many notes were accepted and delivered. It ends all that it
// has started, and exits with status 0 only if nothing was lost.
//
// It needs PostgreSQL, and the gateway's binary, which `make build` makes:
//
//	go run ./examples/cluster
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
	// SIGPIPE comes if the reader of the output ends first, and would end the program before
	// it has stopped the processes.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

const (
	lease    = 5 * time.Second // of the gateways
	sending  = 12 * time.Second
	killed   = 3 * time.Second // after the beginning
	restored = 7 * time.Second
	patience = time.Minute // until all is delivered
)

// run starts everything, plays the accident, prints the report, and ends everything.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	caddy := flags.String("caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	rate := flags.Int("rate", 200, "notes a second")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *rate < 1 {
		return errors.New("-rate must be at least 1")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("3 minutes are over"))
	defer cancel()
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	c, err := start(ctx, binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	fmt.Fprintf(out, "%d gateways share a PostgreSQL %s; %s is in front of them.\nEach of %d notes a second is sent once, for %s, and its sender waits %s for the answer.\n\n",
		len(c.gateways), c.database.Version, c.url, *rate, sending, giveUp)

	l := newLoad(c.url, c.secret)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.send(ctx, *rate, sending)
	}()
	victim := c.gateways[1]
	began := time.Now()
	for _, step := range []struct {
		at   time.Duration
		what string
		do   func() error
	}{
		{killed, "gateway 2 is killed (SIGKILL)", func() error { return syscall.Kill(victim.PID(), syscall.SIGKILL) }},
		{restored, "gateway 2 starts again", func() error { return c.restart(ctx, 1) }},
	} {
		if err := sleep(ctx, time.Until(began.Add(step.at))); err != nil {
			return err
		}
		fmt.Fprintf(out, "%5.1f s  %s\n", time.Since(began).Seconds(), step.what)
		if err := step.do(); err != nil {
			return err
		}
	}
	<-ended
	c.inbox.wait(ctx, l.accepted(), patience)
	r := c.inbox.compare(l)
	fmt.Fprintf(out, "\n%s", r)
	return r.err()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
