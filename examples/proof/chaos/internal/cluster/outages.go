package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
)

// failOver kills the primary and promotes the standby. Then the killed one follows the new primary.
func failOver(ctx context.Context, c *cluster, _ int) error {
	began := time.Now()
	if err := c.failOver(); err != nil {
		return err
	}
	c.record("the promotion", time.Since(began))
	if err := c.accepting(ctx, "accepting after the promotion"); err != nil {
		return err
	}
	return c.rejoin(ctx)
}

// loseStandby kills the standby, and starts it again after more than two leases: commits wait for it.
func loseStandby(ctx context.Context, c *cluster, _ int) error {
	if err := kill(c.standby); err != nil {
		return err
	}
	if err := await.Sleep(ctx, 2*lease+2*time.Second); err != nil {
		return err
	}
	if _, err := c.launch(); err != nil {
		return err
	}
	return c.accepting(ctx, "accepting after the start of the standby")
}

// cutNetwork cuts the link between a gateway and the databases for longer than its lease.
func cutNetwork(ctx context.Context, c *cluster, n int) error {
	i := n % gateways
	began := time.Now()
	if err := c.network.cut(ctx, i); err != nil {
		return err
	}
	err := c.handOver(ctx, i)
	if err == nil {
		err = await.Sleep(ctx, 2*lease-time.Since(began))
	}
	if err := errors.Join(err, c.network.heal(ctx, i)); err != nil {
		return err
	}
	return c.accepting(ctx, "accepting after the network is whole")
}

const (
	fullTime  = 3 * time.Second // for which no gateway accepts before the disk counts as full
	fillLimit = time.Minute     // until then: the databases use the space that they have allocated before
)

// fillDisk fills the file system of the databases until no gateway accepts, and then makes room. A database
// that has ended is started again.
func fillDisk(ctx context.Context, c *cluster, times int) error {
	began := time.Now()
	if _, err := c.volume.Fill(); err != nil {
		return err
	}
	for time.Since(c.pauses.Last(ledger.All)) < fullTime {
		if err := await.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		if time.Since(began) > fillLimit {
			return fmt.Errorf("the gateways still accept %s after the disk was full", fillLimit)
		}
	}
	var work errgroup.Group
	for _, g := range c.gateways {
		work.Go(func() error {
			_, err := g.ExpectRejected(ctx, g.Fleet().Post("rejected-"+strconv.Itoa(times), false))
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	if err := c.volume.Clear(); err != nil {
		return err
	}
	n, err := c.launch()
	if err != nil {
		return err
	}
	c.ended += n
	return c.accepting(ctx, "accepting after there is room")
}
