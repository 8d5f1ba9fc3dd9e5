package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/volume"
)

const (
	// stallTime is the time without an acknowledgement after which accepting counts as stalled. The
	// queue retries at least once a second.
	stallTime = 1500 * time.Millisecond

	stallLimit = 30 * time.Second // maximum time until accepting is stalled

	steady = 300 // events per second, slow enough not to fill the disk
)

// A smallDisk gateway has its queue on a small file system, and another site.
type smallDisk struct {
	*gateway.Rig
	volume *volume.Volume
	site   *otherSite
	text   string
	book   *ledger.Book
	known  load.Post // an acknowledged event
	load   *load.Load

	longest time.Duration // maximum time until accepting resumed
}

// onSmallDisk calls run with a smallDisk gateway that has acknowledged one event.
func onSmallDisk(ctx context.Context, e *scenario.Env, size int, run func(context.Context, *scenario.Env, *smallDisk) (table.Row, error)) (row table.Row, err error) {
	v, err := volume.New(ctx, e.Dir, int64(size)<<20)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return row, err
	}
	defer r.CloseInto(&err)
	site, err := newOtherSite(ctx)
	if err != nil {
		return row, err
	}
	defer site.close()
	c := &smallDisk{Rig: r, volume: v, site: site, book: ledger.NewBook()}
	c.text = strings.Replace(r.Caddyfile(gateway.Options{}), r.QueueFile(), v.QueueFile(), 1) + site.caddyfile()
	if err := r.Start(ctx, c.text); err != nil {
		return row, err
	}
	c.known = r.Fleet().Post("known", false)
	if err := c.Expect(ctx, c.book, c.known, false); err != nil {
		return row, err
	}
	defer func() {
		if c.load != nil {
			c.load.Stop()
		}
	}()
	row, err = run(ctx, e, c)
	return row, errors.Join(err, c.book.Only("200", ledger.Duplicate, "503", ledger.Cut, ledger.Refused))
}

// send starts to send events at a rate, each of them until it is acknowledged, and waits until some are.
func (c *smallDisk) send(ctx context.Context, rate float64) error {
	f := c.Fleet()
	f.Again, f.Padding, f.Rate = true, 4000, rate
	c.load = f.Start(ctx, c.book)
	return await.Eventually(ctx, "acknowledged events", func() (bool, error) { return c.book.Events() >= 200, c.Alive() })
}

// stalled waits until no more events are acknowledged.
func (c *smallDisk) stalled(ctx context.Context) error {
	began := time.Now()
	events, since := -1, began
	for {
		if n := c.book.Events(); n != events {
			events, since = n, time.Now()
		}
		switch {
		case time.Since(since) > stallTime:
			return c.Alive()
		case time.Since(began) > stallLimit:
			return fmt.Errorf("events are still acknowledged after %s, although the disk should be full", stallLimit)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// resumed waits until events are acknowledged again, and records the time since began.
func (c *smallDisk) resumed(ctx context.Context, began time.Time) error {
	events := c.book.Events()
	for c.book.Events() == events {
		if err := errors.Join(c.Alive(), ctx.Err()); err != nil {
			return err
		}
		if time.Since(began) > scenario.ResumeLimit {
			return fmt.Errorf("accepting has not resumed after %s; the gateway's last lines are:\n%s", scenario.ResumeLimit, c.Proc.Tail(20))
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.longest = max(c.longest, time.Since(began))
	return nil
}

// finish stops the load, restarts the backend and counts the events.
func (c *smallDisk) finish(ctx context.Context, times int, note string) (table.Row, error) {
	c.load.Stop()
	c.load = nil
	ehr := c.Ledger.Backend("ehr")
	ehr.Stop()
	if err := ehr.Start(ctx); err != nil {
		return table.Row{}, err
	}
	row, err := c.Settle(ctx, c.book, scenario.LongestPause)
	row.Times, row.Recovery = times, c.longest
	row.Note = fmt.Sprintf("%s; %s; the other site: %s", note, c.book.Others(), c.site)
	if err != nil {
		return row, err
	}
	return row, errors.Join(c.Expect(ctx, c.book, c.known, true), c.site.wrong())
}

// delivering waits for the first delivery of the watch.
func (c *smallDisk) delivering(ctx context.Context, w *ledger.Watch) error {
	select {
	case <-w.First:
		return nil
	case <-time.After(await.Patience):
		return fmt.Errorf("none of %d waiting events was delivered within %s", w.Number, await.Patience)
	case <-c.Proc.Ended:
		return c.Alive()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
