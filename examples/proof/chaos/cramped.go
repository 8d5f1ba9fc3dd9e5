package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// stallTime is how long nothing is acknowledged until accepting counts as
	// stalled. The queue tries again at least once a second.
	stallTime = 1500 * time.Millisecond

	stallLimit  = 30 * time.Second // until it does
	resumeLimit = 10 * time.Second // for accepting, once there is room

	steady = 300 // events a second, where they are not to fill the disk
)

// A cramped gateway has its queue on a small filesystem, and another site.
type cramped struct {
	*rig
	volume *volume
	site   *otherSite
	text   string
	book   *book
	known  post // an event that was acknowledged
	load   *load

	longest time.Duration // until accepting resumed
}

// cramped runs something with a cramped gateway, which has an event behind it.
func (e *env) cramped(ctx context.Context, size int, run func(context.Context, *env, *cramped) (result, error)) (row result, err error) {
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
	c := &cramped{rig: r, volume: v, site: site, book: newBook()}
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

// send has events sent from now on, at a rate, each until it is acknowledged,
// and returns when a few were.
func (c *cramped) send(ctx context.Context, rate float64) error {
	f := c.fleet()
	f.again, f.padding, f.rate = true, 4000, rate
	c.load = f.start(ctx, c.book)
	return eventually(ctx, "events to be acknowledged", func() (bool, error) { return c.book.events() >= 200, c.alive() })
}

// stalled waits until nothing is acknowledged any more.
func (c *cramped) stalled(ctx context.Context) error {
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
			return fmt.Errorf("events are acknowledged still after %s, although there should be no room", stallLimit)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// resumed waits until events are acknowledged again, and notes how long after
// began that was.
func (c *cramped) resumed(ctx context.Context, began time.Time) error {
	events := c.book.events()
	for c.book.events() == events {
		if err := errors.Join(c.alive(), ctx.Err()); err != nil {
			return err
		}
		if time.Since(began) > resumeLimit {
			return fmt.Errorf("accepting has not resumed after %s; the gateway printed last:\n%s", resumeLimit, c.proc.tail(20))
		}
		time.Sleep(5 * time.Millisecond)
	}
	c.longest = max(c.longest, time.Since(began))
	return nil
}

// alive says whether the process lives.
func (c *cramped) alive() error {
	select {
	case <-c.proc.ended:
		return fmt.Errorf("the gateway ended (%s); it printed last:\n%s", c.proc.cmd.ProcessState, c.proc.tail(20))
	default:
		return nil
	}
}

// finish ends the load, lets the upstream come back and counts.
func (c *cramped) finish(ctx context.Context, times int, note string) (result, error) {
	c.load.stop()
	c.load = nil
	ehr := c.ledger.backend("ehr")
	ehr.leave()
	if err := ehr.come(ctx); err != nil {
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

// longestPause is for how long nothing may be delivered to an upstream that is
// back: until a probe shows that it is, and probes are up to a minute apart.
const longestPause = 75 * time.Second

// delivering waits for the first delivery of those that are watched for.
func (c *cramped) delivering(ctx context.Context, w *watch) error {
	select {
	case <-w.first:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("of %d events that wait none was delivered within %s", w.number, patience)
	case <-c.proc.ended:
		return c.alive()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
