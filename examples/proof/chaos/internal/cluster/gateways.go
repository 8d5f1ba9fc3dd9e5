package cluster

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
)

// killGateway kills a gateway, and starts it again when the others have made its deliveries.
func killGateway(ctx context.Context, c *cluster, n int) error {
	i := n % gateways
	if err := c.gateways[i].Kill(); err != nil {
		return err
	}
	if err := c.handOver(ctx, i); err != nil {
		return err
	}
	if err := c.start(ctx, i); err != nil {
		return err
	}
	return c.accepting(ctx, "accepting after the start")
}

// suspend stops a gateway with SIGSTOP for longer than its lease, and continues it when the others have made
// its deliveries.
func suspend(ctx context.Context, c *cluster, n int) error {
	i := n % gateways
	pid := c.gateways[i].Proc.PID()
	began := time.Now()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stopping a gateway: %w", err)
	}
	err := c.handOver(ctx, i)
	if err == nil {
		err = await.Sleep(ctx, lease+2*time.Second-time.Since(began))
	}
	if err := errors.Join(err, syscall.Kill(pid, syscall.SIGCONT)); err != nil {
		return err
	}
	return c.accepting(ctx, "accepting after it is continued")
}

// restart restarts one gateway after the other.
func restart(ctx context.Context, c *cluster, _ int) error {
	for i, g := range c.gateways {
		began := time.Now()
		if err := g.Stop(); err != nil {
			return err
		}
		c.record("the end of a gateway", time.Since(began))
		if err := c.start(ctx, i); err != nil {
			return err
		}
		if err := c.accepting(ctx, "accepting after the start"); err != nil {
			return err
		}
	}
	return c.book.Only("200", ledger.Duplicate, ledger.Refused, ledger.Cut)
}

// killAll kills everything at once, and starts it again, the gateways first.
func killAll(ctx context.Context, c *cluster, _ int) error {
	var work errgroup.Group
	for _, g := range c.gateways {
		work.Go(g.Kill)
	}
	work.Go(func() error { return kill(c.primary) })
	work.Go(func() error { return kill(c.standby) })
	if err := work.Wait(); err != nil {
		return err
	}
	for i, g := range c.gateways {
		if err := g.Launch(c.texts[i]); err != nil {
			return err
		}
	}
	if _, err := c.launch(); err != nil {
		return err
	}
	return c.accepting(ctx, "accepting after the start of the databases")
}
