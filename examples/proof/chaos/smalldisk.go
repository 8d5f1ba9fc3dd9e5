package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// stallTime is the time without an acknowledgement after which accepting counts as stalled. The
	// queue retries at least once a second.
	stallTime = 1500 * time.Millisecond

	stallLimit  = 30 * time.Second // maximum time until accepting is stalled
	resumeLimit = 10 * time.Second // maximum time until accepting resumes, when there is space

	steady = 300 // events per second, slow enough not to fill the disk
)

// A smallDisk gateway has its queue on a small file system, and another site.
type smallDisk struct {
	*rig
	volume *volume
	site   *otherSite
	text   string
	book   *book
	known  post // an acknowledged event
	load   *load

	longest time.Duration // maximum time until accepting resumed
}

// onSmallDisk calls run with a smallDisk gateway that has acknowledged one event.
func (e *env) onSmallDisk(ctx context.Context, size int, run func(context.Context, *env, *smallDisk) (result, error)) (row result, err error) {
	v, err := e.newVolume(ctx, int64(size)<<20)
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	site, err := newOtherSite(ctx)
	if err != nil {
		return row, err
	}
	defer site.close()
	c := &smallDisk{rig: r, volume: v, site: site, book: newBook()}
	c.text = strings.Replace(r.caddyfile(options{}), r.queueFile(), v.queueFile(), 1) + site.caddyfile()
	if err := r.start(ctx, c.text); err != nil {
		return row, err
	}
	c.known = r.fleet().post("known", false)
	if _, err := c.expect(ctx, c.known, false); err != nil {
		return row, err
	}
	defer func() {
		if c.load != nil {
			c.load.stop()
		}
	}()
	row, err = run(ctx, e, c)
	return row, errors.Join(err, c.book.only("200", duplicate, "503", cut, refused))
}

// send starts to send events at a rate, each of them until it is acknowledged, and waits until some are.
func (c *smallDisk) send(ctx context.Context, rate float64) error {
	f := c.fleet()
	f.again, f.padding, f.rate = true, 4000, rate
	c.load = f.start(ctx, c.book)
	return eventually(ctx, "acknowledged events", func() (bool, error) { return c.book.events() >= 200, c.alive() })
}

// stalled waits until no more events are acknowledged.
func (c *smallDisk) stalled(ctx context.Context) error {
	began := time.Now()
	events, since := -1, began
	for {
		if n := c.book.events(); n != events {
			events, since = n, time.Now()
		}
		switch {
		case time.Since(since) > stallTime:
			return c.alive()
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
	events := c.book.events()
	for c.book.events() == events {
		if err := errors.Join(c.alive(), ctx.Err()); err != nil {
			return err
		}
		if time.Since(began) > resumeLimit {
			return fmt.Errorf("accepting has not resumed after %s; the gateway's last lines are:\n%s", resumeLimit, c.proc.tail(20))
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.longest = max(c.longest, time.Since(began))
	return nil
}

// alive returns an error if the process has ended.
func (c *smallDisk) alive() error {
	select {
	case <-c.proc.ended:
		return fmt.Errorf("the gateway ended (%s); its last lines are:\n%s", c.proc.cmd.ProcessState, c.proc.tail(20))
	default:
		return nil
	}
}

// finish stops the load, restarts the backend and counts the events.
func (c *smallDisk) finish(ctx context.Context, times int, note string) (result, error) {
	c.load.stop()
	c.load = nil
	ehr := c.ledger.backend("ehr")
	ehr.stop()
	if err := ehr.start(ctx); err != nil {
		return result{}, err
	}
	row, err := c.settle(ctx, c.book, longestPause)
	row.times, row.recovery = times, c.longest
	row.note = fmt.Sprintf("%s; %s; the other site: %s", note, c.book.others(), c.site)
	if err != nil {
		return row, err
	}
	_, err = c.expect(ctx, c.known, true)
	return row, errors.Join(err, c.site.wrong())
}

// longestPause is the maximum time until the first delivery to an upstream that is back. Probes are up
// to a minute apart.
const longestPause = 75 * time.Second

// delivering waits for the first delivery of the watch.
func (c *smallDisk) delivering(ctx context.Context, w *watch) error {
	select {
	case <-w.first:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("none of %d waiting events was delivered within %s", w.number, patience)
	case <-c.proc.ended:
		return c.alive()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
