package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/forwarder/seal"
)

const (
	gateways = 3
	lease    = 5 * time.Second

	// handover is the maximum time until another gateway has made the deliveries of one that does not answer:
	// the lease, and a few seconds.
	handover = lease + 5*time.Second

	// resumeLimit is the maximum time until a gateway accepts again. One that has waited for its database for
	// long asks for it every second.
	resumeLimit = 20 * time.Second

	// settleLimit is the maximum time between two deliveries of events that wait. A gateway that has leased a
	// delivery without an answer of the database finds it after two looks, which are 10 s apart.
	settleLimit = 30 * time.Second

	rate     = 80               // events per second that each gateway gets
	senders  = 6                // of each gateway
	patience = 10 * time.Second // of a sender: somewhat longer than a gateway waits for its database

	// slowly is the delay of the backends, so that a fault interrupts deliveries.
	slowly = 30 * time.Millisecond
)

// A cluster is three gateways that share a queue, under load.
type cluster struct {
	*databases
	gateways []*gateway.Rig
	texts    []string // of their Caddyfiles
	book     *ledger.Book
	pauses   *ledger.Pauses
	loads    []*load.Load
	longest  []figure
	ended    int // number of times that a database has ended
}

// A figure is the longest of some durations.
type figure struct {
	name string
	took time.Duration
}

// newCluster starts the gateways and the load. The caller must close the cluster.
func newCluster(ctx context.Context, e *scenario.Env, d *databases) (c *cluster, err error) {
	c = &cluster{databases: d, book: ledger.NewBook()}
	defer func() {
		if err != nil {
			c.close(&err)
		}
	}()
	first, err := e.NewRig(ctx, "ehr", "audit")
	if err != nil {
		return nil, err
	}
	c.gateways = []*gateway.Rig{first}
	for len(c.gateways) < gateways {
		another, err := first.Another(ctx)
		if err != nil {
			return nil, err
		}
		c.gateways = append(c.gateways, another)
	}
	key := seal.NewKey().Encode()
	var urls []string
	for i, g := range c.gateways {
		dsn, err := d.dsn(i)
		if err != nil {
			return nil, err
		}
		c.texts = append(c.texts, g.Caddyfile(gateway.Options{DSN: dsn, Queue: fmt.Sprintf("lease %s\nencryption_key %s", lease, key)}))
		urls = append(urls, g.URL())
	}
	for _, name := range first.Ledger.Names() {
		first.Ledger.Backend(name).Behave(ledger.Behavior{Delay: slowly})
	}
	if err := c.startAll(ctx); err != nil {
		return nil, err
	}
	c.pauses = ledger.NewPauses(urls...)
	for i, g := range c.gateways {
		f := g.Fleet()
		f.Others, f.Pauses = slices.Concat(urls[i+1:], urls[:i]), c.pauses
		f.Senders, f.Rate, f.Patience, f.Again = senders, rate, patience, true
		c.loads = append(c.loads, f.Start(ctx, c.book))
	}
	return c, nil
}

// startAll starts all gateways at once.
func (c *cluster) startAll(ctx context.Context) error {
	var work errgroup.Group
	for i := range c.gateways {
		work.Go(func() error { return c.start(ctx, i) })
	}
	return work.Wait()
}

func (c *cluster) start(ctx context.Context, i int) error {
	return c.gateways[i].Start(ctx, c.texts[i])
}

// accepting waits until each gateway accepts, and records the time.
func (c *cluster) accepting(ctx context.Context, what string) error {
	began := time.Now()
	for i, g := range c.gateways {
		for !c.pauses.Last(g.URL()).After(began) {
			if err := errors.Join(await.Sleep(ctx, 5*time.Millisecond), g.Alive()); err != nil {
				return err
			}
			if time.Since(began) > resumeLimit {
				return fmt.Errorf("%s: gateway %d does not accept after %s; its last lines are:\n%s", what, i+1, resumeLimit, g.Proc.Tail(10))
			}
		}
	}
	c.record(what, time.Since(began))
	return nil
}

// handOver waits until every event that is acknowledged so far is delivered, without one of the gateways.
func (c *cluster) handOver(ctx context.Context, without int) error {
	began := time.Now()
	w := c.gateways[without].Ledger.Watch(c.book)
	defer w.End()
	if w.Number == 0 {
		return nil
	}
	other := c.gateways[(without+1)%gateways]
	err := w.Wait(ctx, handover, other.Proc.Ended)
	took := time.Since(began)
	c.record("its deliveries by the others", took)
	if n := w.Left(); err == nil && (n > 0 || took > handover) {
		return fmt.Errorf("%d of %d deliveries are missing %s after the fault of gateway %d; another one's last lines are:\n%s", n, w.Number, took, without+1, other.Proc.Tail(10))
	}
	return err
}

// record records a duration for the note.
func (c *cluster) record(name string, took time.Duration) {
	for i := range c.longest {
		if c.longest[i].name == name {
			c.longest[i].took = max(c.longest[i].took, took)
			return
		}
	}
	c.longest = append(c.longest, figure{name, took})
}

// stopLoad stops the senders.
func (c *cluster) stopLoad() {
	for _, l := range c.loads {
		l.Stop()
	}
	c.loads = nil
}

// finish stops the load, waits for the deliveries, and returns a row.
func (c *cluster) finish(ctx context.Context) (table.Row, error) {
	pause := c.pauses.Longest(ledger.All)
	each, notes := make([]string, 0, gateways), make([]string, 0, len(c.longest)+3)
	for _, g := range c.gateways {
		each = append(each, fmt.Sprintf("%.1f", c.pauses.Longest(g.URL()).Seconds()))
	}
	c.stopLoad()
	row, err := c.gateways[0].Settle(ctx, c.book, settleLimit)
	row.Recovery = pause
	for _, f := range c.longest {
		notes = append(notes, fmt.Sprintf("%s: within %.1f s", f.name, f.took.Seconds()))
	}
	if c.ended > 0 {
		notes = append(notes, fmt.Sprintf("databases that ended and were started again: %d", c.ended))
	}
	notes = append(notes, fmt.Sprintf("longest pause of each gateway %s s", strings.Join(each, ", ")))
	if others := c.book.Others(); others != "" {
		notes = append(notes, others)
	}
	row.Note = strings.Join(notes, "; ")
	return row, err
}

// settled waits until the queue has no delivery that waits, and returns an error if one is dead, or if a
// request had an unexpected outcome.
func (c *cluster) settled(ctx context.Context) error {
	g := c.gateways[0]
	count := func(state string) (n int, err error) {
		err = g.EachEvent(ctx, "state="+state, func(gateway.ListedEvent) error { n++; return nil })
		return n, err
	}
	began := time.Now()
	for {
		left, err := count("pending")
		if err == nil && left > 0 && time.Since(began) > settleLimit {
			err = fmt.Errorf("%d events are still pending %s after their deliveries", left, settleLimit)
		}
		if err == nil && left == 0 {
			break
		}
		if err := errors.Join(err, await.Sleep(ctx, 50*time.Millisecond)); err != nil {
			return err
		}
	}
	dead, err := count("dead")
	if err == nil && dead > 0 {
		err = fmt.Errorf("%d events are dead", dead)
	}
	return errors.Join(err, c.book.Only("200", ledger.Duplicate, "503", ledger.Refused, ledger.Cut, ledger.Timeout))
}

// close stops the load and the gateways, and adds errors to err.
func (c *cluster) close(err *error) {
	c.stopLoad()
	for _, g := range c.gateways {
		g.CloseInto(err)
	}
}
