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
	text: "bad upstreams, each beside a healthy one whose lag must stay as it was",
	run:  runUpstreams,
}

const (
	// The bounds of the healthy upstream's median lag, beside a bad neighbour
	// against beside a healthy one. Machines are noisy.
	maxLagRatio  = 3
	lagTolerance = 5 * time.Millisecond

	pulses    = 30               // events in a turn
	fateLimit = 30 * time.Second // for what has to become of the events

	// flapLimit is that of an upstream that flaps: a probe that finds it down has
	// the next one come later, up to a minute.
	flapLimit = 4 * time.Minute
)

// runUpstreams measures each kind against one gateway whose upstreams are all
// healthy, with a gateway of its own for each, so that what one kind leaves
// behind is not the next one's.
func runUpstreams(ctx context.Context, e *env) (rows []result, err error) {
	// Upstreams write to connections that the gateway has closed, on purpose.
	signal.Ignore(syscall.SIGPIPE)
	reference, err := e.newBeside(ctx, badKind{name: "reference"})
	if err != nil {
		return nil, err
	}
	defer reference.closeInto(&err)
	var all []*beside
	var errs []error
	for _, kind := range badKinds {
		b, err := e.newBeside(ctx, kind)
		if err != nil {
			return rows, errors.Join(append(errs, err)...)
		}
		all = append(all, b)
		defer b.closeInto(&err)
		row, err := b.run(ctx, reference, e.pick(3, 30), e.pick(150, 500))
		if err != nil {
			errs = append(errs, fmt.Errorf("beside an upstream that %s: %w", kind.name, err))
		}
		rows = append(rows, row)
	}
	for _, b := range all {
		if err := b.recover(ctx); err != nil {
			errs = append(errs, fmt.Errorf("beside an upstream that %s: %w", b.kind.name, err))
		}
	}
	return rows, errors.Join(errs...)
}

// A beside is a gateway with a healthy upstream beside a bad one.
type beside struct {
	*rig
	kind    badKind
	bad     *badUpstream // nil in the reference, where both are healthy
	witness *witness     // of the healthy one
	book    *book
	pulses  int
	lags    []time.Duration // of this round of the healthy upstream's

	paused bool // whether the bad one was seen paused
}

func (e *env) newBeside(ctx context.Context, kind badKind) (_ *beside, err error) {
	r, err := e.newRig(ctx, "healthy")
	if err != nil {
		return nil, err
	}
	b := &beside{rig: r, kind: kind, book: newBook()}
	defer func() {
		if err != nil {
			b.closeInto(&err)
		}
	}()
	if b.witness, err = newWitness(ctx, r.ledger.backend("healthy")); err != nil {
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
	if err := r.start(ctx, b.witness.stand(r.caddyfile(o))); err != nil {
		return nil, err
	}
	// Its first deliveries make connections, and more.
	if err := b.pulse(ctx, 5); err != nil {
		return nil, err
	}
	b.lags = nil
	return b, nil
}

// closeInto ends all of it.
func (b *beside) closeInto(err *error) {
	b.rig.closeInto(err)
	if b.witness != nil {
		b.witness.close()
	}
	if b.bad != nil {
		b.bad.close()
	}
}

// run sends to this gateway and to the reference by turns, and reports what became
// of the events for the bad upstream, and of the healthy one's lag.
func (b *beside) run(ctx context.Context, reference *beside, rounds, pile int) (result, error) {
	row := result{fault: "upstream: " + b.kind.name}
	b.pile(ctx, pile)
	reference.pile(ctx, pile)
	reference.lags = nil
	for range rounds {
		for _, turn := range []*beside{reference, b} {
			if err := turn.pulse(ctx, pulses); err != nil {
				return row, err
			}
		}
		if err := b.look(ctx); err != nil {
			return row, err
		}
	}
	settled, err := b.settle(ctx, b.book, fateLimit)
	if err != nil {
		return row, err
	}
	settled.fault, settled.times = row.fault, b.book.events()
	lag := compareLags(b.lags, reference.lags)
	settled.note = fmt.Sprintf("%s; its events: %s, %s", lag, b.kind.fate, b.kind.rest)
	errs := []error{lag.wrong(), b.meetsFate(ctx)}
	if others := b.book.others(); others != "" {
		errs = append(errs, fmt.Errorf("the senders had answers other than 200: %s", others))
	}
	return settled, errors.Join(errs...)
}

// pile sends n events at once, so that the bad upstream has them waiting.
func (b *beside) pile(ctx context.Context, n int) {
	f := b.fleet()
	f.limit = n
	f.start(ctx, b.book).done()
}

// look notes whether the bad upstream is paused.
func (b *beside) look(ctx context.Context) error {
	s, err := b.status(ctx)
	if err != nil {
		return err
	}
	u, _ := s.upstream("other")
	b.paused = b.paused || u.Paused
	return nil
}

// meetsFate waits until the events for the bad upstream are where they have to
// be.
func (b *beside) meetsFate(ctx context.Context) error {
	limit := fateLimit
	if b.kind.rest == restEither {
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

// recover waits until the bad upstream, which is healed, has what had not died,
// where it can be reached again and did not ask to be left alone.
func (b *beside) recover(ctx context.Context) error {
	if b.kind.lasting {
		return nil
	}
	return eventually(ctx, "the healed upstream to have its events", func() (bool, error) {
		s, err := b.status(ctx)
		u, _ := s.upstream("other")
		return u.Pending == 0, err
	})
}
