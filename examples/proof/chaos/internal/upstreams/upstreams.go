package upstreams

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Scenario runs bad upstreams beside healthy ones.
var Scenario = scenario.Scenario{
	Name: "upstreams",
	Text: "bad upstreams, each with a healthy one whose lag must not grow",
	Run:  runUpstreams,
}

const (
	// The bounds of the healthy upstream's median lag with a bad upstream, compared with the lag without one. They are
	// generous, since machines are noisy.
	maxLagRatio  = 3
	lagTolerance = 5 * time.Millisecond

	lagEvents  = 30               // number of events in one measurement
	stateLimit = 30 * time.Second // maximum time until the events are in the expected state

	// flapLimit is stateLimit of an upstream that flaps: after each failed probe the next one is later, up to a minute.
	flapLimit = 4 * time.Minute
)

// runUpstreams compares a gateway for each kind with a reference gateway, whose upstreams are both healthy. Each kind
// has a new gateway, so that it is not affected by other kinds.
func runUpstreams(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	// Bad upstreams write to connections that the gateway has closed.
	signal.Ignore(syscall.SIGPIPE)
	reference, err := newNeighbors(ctx, e, badKind{name: "reference"})
	if err != nil {
		return nil, err
	}
	defer reference.CloseInto(&err)
	var all []*neighbors
	var errs []error
	for _, kind := range badKinds {
		b, err := newNeighbors(ctx, e, kind)
		if err != nil {
			return rows, errors.Join(append(errs, err)...)
		}
		all = append(all, b)
		defer b.CloseInto(&err)
		row, err := b.run(ctx, reference, e.Pick(3, 30), e.Pick(150, 500))
		if err != nil {
			errs = append(errs, fmt.Errorf("with an upstream that %s: %w", kind.name, err))
		}
		rows = append(rows, row)
	}
	for _, b := range all {
		if err := b.recover(ctx); err != nil {
			errs = append(errs, fmt.Errorf("with an upstream that %s: %w", b.kind.name, err))
		}
	}
	return rows, errors.Join(errs...)
}

// A neighbors is a gateway with a healthy and a bad upstream.
type neighbors struct {
	*gateway.Rig
	kind     badKind
	bad      *badUpstream  // nil in the reference, where both are healthy
	proxy    *ledger.Proxy // of the healthy one
	book     *ledger.Book
	measured int             // number of events in all measurements
	lags     []time.Duration // of the healthy upstream, in this round

	paused bool // whether the bad upstream was ever paused
}

func newNeighbors(ctx context.Context, e *scenario.Env, kind badKind) (_ *neighbors, err error) {
	r, err := e.NewRig(ctx, "healthy")
	if err != nil {
		return nil, err
	}
	b := &neighbors{Rig: r, kind: kind, book: ledger.NewBook()}
	defer func() {
		if err != nil {
			b.CloseInto(&err)
		}
	}()
	if b.proxy, err = ledger.NewProxy(ctx, r.Ledger.Backend("healthy")); err != nil {
		return nil, err
	}
	open := kind.open
	if open == nil {
		open = answering(okAnswer)
	}
	if b.bad, err = open(ctx); err != nil {
		return nil, err
	}
	o := gateway.Options{
		App:     "upstream other " + b.bad.url + " {\ntimeout 1s\nretry 500ms 500ms 500ms" + kind.more + "\n}",
		Deliver: []string{"healthy", "other"},
	}
	if err := r.Start(ctx, b.proxy.Insert(r.Caddyfile(o))); err != nil {
		return nil, err
	}
	// The first deliveries open connections: do not measure them.
	if err := b.measureLag(ctx, 5); err != nil {
		return nil, err
	}
	b.lags = nil
	return b, nil
}

// CloseInto closes the gateway and its upstreams, and adds errors to err.
func (b *neighbors) CloseInto(err *error) {
	b.Rig.CloseInto(err)
	if b.proxy != nil {
		b.proxy.Close()
	}
	if b.bad != nil {
		b.bad.close()
	}
}

// run sends events alternately to this gateway and to the reference. The row has the state of the bad upstream's events
// and the lag of the healthy upstream.
func (b *neighbors) run(ctx context.Context, reference *neighbors, rounds, pile int) (table.Row, error) {
	row := table.Row{Fault: "upstream: " + b.kind.name}
	b.sendBurst(ctx, pile)
	reference.sendBurst(ctx, pile)
	reference.lags = nil
	for range rounds {
		for _, turn := range []*neighbors{reference, b} {
			if err := turn.measureLag(ctx, lagEvents); err != nil {
				return row, err
			}
		}
		if err := b.look(ctx); err != nil {
			return row, err
		}
	}
	settled, err := b.Settle(ctx, b.book, stateLimit)
	if err != nil {
		return row, err
	}
	settled.Fault, settled.Times = row.Fault, b.book.Events()
	lag := compareLags(b.lags, reference.lags)
	settled.Note = fmt.Sprintf("%s; its events: %s, %s", lag, b.kind.state, b.kind.pause)
	errs := []error{lag.wrong(), b.waitState(ctx)}
	if others := b.book.Others(); others != "" {
		errs = append(errs, fmt.Errorf("there were other outcomes than 200: %s", others))
	}
	return settled, errors.Join(errs...)
}

// sendBurst sends n events at once, so that they wait for the bad upstream.
func (b *neighbors) sendBurst(ctx context.Context, n int) {
	f := b.Fleet()
	f.Limit = n
	f.Start(ctx, b.book).Done()
}

// look records whether the bad upstream is paused.
func (b *neighbors) look(ctx context.Context) error {
	s, err := b.Status(ctx)
	if err != nil {
		return err
	}
	u, _ := s.Upstream("other")
	b.paused = b.paused || u.Paused
	return nil
}

// waitState waits until the events for the bad upstream are in the expected state, and then heals the upstream.
func (b *neighbors) waitState(ctx context.Context) error {
	limit := stateLimit
	if b.kind.pause == sometimesPaused {
		limit = flapLimit
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		s, err := b.Status(ctx)
		if err != nil {
			return err
		}
		u, _ := s.Upstream("other")
		b.paused = b.paused || u.Paused
		wrong := b.kind.wrong(u, b.book.Events(), b.paused)
		if n := b.bad.strayed(); n > 0 {
			wrong = fmt.Errorf("a redirect was followed %d times", n)
		}
		if wrong == nil || time.Since(began) > limit {
			return errors.Join(wrong, b.bad.heal())
		}
	}
}

// recover waits until no event waits for the healed upstream, if it can be healed.
func (b *neighbors) recover(ctx context.Context) error {
	if b.kind.lasting {
		return nil
	}
	return await.Eventually(ctx, "the deliveries to the healed upstream", func() (bool, error) {
		s, err := b.Status(ctx)
		u, _ := s.Upstream("other")
		return u.Pending == 0, err
	})
}
