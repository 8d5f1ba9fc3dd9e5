package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"
)

var upstreamsScenario = scenario{
	name: "upstreams",
	text: "bad upstreams, each with a healthy one whose lag must not grow",
	run:  runUpstreams,
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
func runUpstreams(ctx context.Context, e *env) (rows []result, err error) {
	// Bad upstreams write to connections that the gateway has closed.
	signal.Ignore(syscall.SIGPIPE)
	reference, err := e.newNeighbors(ctx, badKind{name: "reference"})
	if err != nil {
		return nil, err
	}
	defer reference.closeInto(&err)
	var all []*neighbors
	var errs []error
	for _, kind := range badKinds {
		b, err := e.newNeighbors(ctx, kind)
		if err != nil {
			return rows, errors.Join(append(errs, err)...)
		}
		all = append(all, b)
		defer b.closeInto(&err)
		row, err := b.run(ctx, reference, e.pick(3, 30), e.pick(150, 500))
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
	*rig
	kind     badKind
	bad      *badUpstream // nil in the reference, where both are healthy
	proxy    *proxy       // of the healthy one
	book     *book
	measured int             // number of events in all measurements
	lags     []time.Duration // of the healthy upstream, in this round

	paused bool // whether the bad upstream was ever paused
}

func (e *env) newNeighbors(ctx context.Context, kind badKind) (_ *neighbors, err error) {
	r, err := e.newRig(ctx, "healthy")
	if err != nil {
		return nil, err
	}
	b := &neighbors{rig: r, kind: kind, book: newBook()}
	defer func() {
		if err != nil {
			b.closeInto(&err)
		}
	}()
	if b.proxy, err = newProxy(ctx, r.ledger.backend("healthy")); err != nil {
		return nil, err
	}
	open := kind.open
	if open == nil {
		open = answering(okAnswer)
	}
	if b.bad, err = open(ctx); err != nil {
		return nil, err
	}
	o := options{
		app:     "upstream other " + b.bad.url + " {\ntimeout 1s\nretry 500ms 500ms 500ms" + kind.more + "\n}",
		deliver: []string{"healthy", "other"},
	}
	if err := r.start(ctx, b.proxy.insert(r.caddyfile(o))); err != nil {
		return nil, err
	}
	// The first deliveries open connections: do not measure them.
	if err := b.measureLag(ctx, 5); err != nil {
		return nil, err
	}
	b.lags = nil
	return b, nil
}

// closeInto closes the gateway and its upstreams, and adds errors to err.
func (b *neighbors) closeInto(err *error) {
	b.rig.closeInto(err)
	if b.proxy != nil {
		b.proxy.close()
	}
	if b.bad != nil {
		b.bad.close()
	}
}

// run sends events alternately to this gateway and to the reference. The row has the state of the bad upstream's events
// and the lag of the healthy upstream.
func (b *neighbors) run(ctx context.Context, reference *neighbors, rounds, pile int) (result, error) {
	row := result{fault: "upstream: " + b.kind.name}
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
	settled, err := b.settle(ctx, b.book, stateLimit)
	if err != nil {
		return row, err
	}
	settled.fault, settled.times = row.fault, b.book.events()
	lag := compareLags(b.lags, reference.lags)
	settled.note = fmt.Sprintf("%s; its events: %s, %s", lag, b.kind.state, b.kind.pause)
	errs := []error{lag.wrong(), b.waitState(ctx)}
	if others := b.book.others(); others != "" {
		errs = append(errs, fmt.Errorf("there were other outcomes than 200: %s", others))
	}
	return settled, errors.Join(errs...)
}

// sendBurst sends n events at once, so that they wait for the bad upstream.
func (b *neighbors) sendBurst(ctx context.Context, n int) {
	f := b.fleet()
	f.limit = n
	f.start(ctx, b.book).done()
}

// look records whether the bad upstream is paused.
func (b *neighbors) look(ctx context.Context) error {
	s, err := b.status(ctx)
	if err != nil {
		return err
	}
	u, _ := s.upstream("other")
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
		s, err := b.status(ctx)
		if err != nil {
			return err
		}
		u, _ := s.upstream("other")
		b.paused = b.paused || u.Paused
		wrong := b.kind.wrong(u, b.book.events(), b.paused)
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
	return eventually(ctx, "the deliveries to the healed upstream", func() (bool, error) {
		s, err := b.status(ctx)
		u, _ := s.upstream("other")
		return u.Pending == 0, err
	})
}
