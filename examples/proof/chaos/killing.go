package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// promisedRecovery is how soon after the process's start delivery goes on.
	promisedRecovery = 2 * time.Second

	// patience is how long an event that waited may take after a start. All the
	// waits between attempts are shorter by far; a lease would be longer.
	patience = 15 * time.Second
)

// A killing kills a gateway again and again at one kind of moment.
type killing struct {
	rig    *rig
	book   *book
	fleet  fleet
	moment moment
	text   string // of the Caddyfile

	kills    int
	recovery time.Duration // longest, from the process's start to the first delivery of an event that waited
	emptied  time.Duration // longest, to the last
	measured int           // recoveries
	known    []known

	works atomic.Int64 // how often the moment's work was done
	busy  atomic.Bool  // whether it is being done
	hits  int          // kills while it was
}

// A known post is one that the gateway has acknowledged.
type known struct {
	post post
	id   string
}

// killAt kills a gateway of its own as often as the moment says.
func (e *env) killAt(ctx context.Context, m moment) (row result, err error) {
	if m.upstreams == nil {
		m.upstreams = []string{"ehr", "audit"}
	}
	r, err := e.newRig(ctx, m.upstreams...)
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	k := &killing{rig: r, book: newBook(), fleet: r.fleet(), moment: m, text: r.caddyfile(m.options)}
	k.fleet.rate, k.fleet.again = m.rate, true
	for name, manner := range m.manners {
		r.ledger.backend(name).behave(manner)
		if manner.refuseAll {
			k.fleet.upstreams = without(m.upstreams, name)
		}
	}
	if err := r.start(ctx, k.text); err != nil {
		return row, err
	}
	l := k.fleet.start(ctx, k.book)
	defer l.stop()
	times := e.pick(m.small, m.large)
	var failure error
	for k.kills < times && failure == nil {
		failure = k.cycle(ctx, times)
	}
	l.stop()
	row, err = r.settle(ctx, k.book, patience) // what is lost is counted in any case
	row.times, row.recovery, row.note = k.kills, k.recovery, k.note()
	switch {
	case failure != nil:
		return row, failure
	case err != nil:
		return row, err
	case m.finish != nil:
		if err := m.finish(ctx, k); err != nil {
			return row, err
		}
	}
	return row, k.verdict()
}

// cycle kills the gateway that runs and starts it again.
func (k *killing) cycle(ctx context.Context, times int) error {
	if k.moment.prepare != nil {
		if err := k.moment.prepare(ctx, k); err != nil {
			return err
		}
	}
	k.learn(ctx)
	if err := k.killUnderLoad(ctx); err != nil {
		return err
	}
	if k.moment.restore != nil {
		k.moment.restore(k)
	}
	for n := 0; k.moment.early && n < 2 && k.kills < times; n++ {
		if err := k.rig.launch(k.text); err != nil {
			return err
		}
		time.Sleep(random(300 * time.Millisecond))
		if err := k.kill(); err != nil {
			return err
		}
	}
	// A backend may be about to take what the killed gateway sent.
	if err := sleep(ctx, k.slowestBackend()+10*time.Millisecond); err != nil {
		return err
	}
	w := k.rig.ledger.watch(k.book)
	defer w.end()
	if err := k.rig.start(ctx, k.text); err != nil {
		return err
	}
	if err := k.recover(ctx, w); err != nil {
		return err
	}
	return errors.Join(k.rig.onlyStore(), k.recall(ctx))
}

// slowestBackend is the longest time that one of the backends takes to answer.
func (k *killing) slowestBackend() (longest time.Duration) {
	for _, m := range k.moment.manners {
		longest = max(longest, m.delay)
	}
	return longest
}

// killUnderLoad kills the gateway at a random moment, with the moment's work
// going on.
func (k *killing) killUnderLoad(ctx context.Context) error {
	var killed atomic.Bool
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	work, working := errgroup.WithContext(working)
	if k.moment.work != nil {
		work.Go(func() error {
			if err := k.moment.work(working, k); !killed.Load() {
				return err // else it is the kill's
			}
			return nil
		})
	}
	select {
	case <-time.After(100*time.Millisecond + random(700*time.Millisecond)):
	case <-working.Done():
	}
	if k.busy.Swap(false) {
		k.hits++
	}
	killed.Store(true)
	err := k.kill()
	cancel()
	return errors.Join(err, work.Wait())
}

func (k *killing) kill() error {
	k.kills++
	return k.rig.kill()
}

// recover measures how long after the start delivery goes on, and in every other
// cycle waits for all that waited.
func (k *killing) recover(ctx context.Context, w *watch) error {
	if w.number == 0 {
		return nil
	}
	took, err := k.rig.after(ctx, w.first, "the first delivery of an event that waited")
	if err != nil {
		return err
	}
	k.measured++
	k.recovery = max(k.recovery, took)
	if k.measured%2 == 0 {
		return nil
	}
	if err := w.wait(ctx, patience, k.rig.proc.ended); err != nil {
		return err
	}
	if n := w.left(); n > 0 {
		return fmt.Errorf("waiting for the deliveries of %d events that waited: %d are missing and none came for %s; the gateway printed last:\n%s", w.number, n, patience, k.rig.proc.tail(10))
	}
	k.emptied = max(k.emptied, time.Since(k.rig.proc.began))
	k.emptied = max(k.emptied, took)
	return nil
}

// after waits for what a watch reports and returns how long after the process's
// start it came.
func (r *rig) after(ctx context.Context, reported <-chan time.Time, what string) (time.Duration, error) {
	select {
	case at := <-reported:
		return at.Sub(r.proc.began), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("waiting for %s: it did not come within %s; the gateway printed last:\n%s", what, patience, r.proc.tail(10))
	case <-r.proc.ended:
		return 0, fmt.Errorf("waiting for %s: the gateway ended; it printed last:\n%s", what, r.proc.tail(20))
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
	}
}

func (k *killing) note() string {
	note := fmt.Sprintf("all that waited: within %.2f s", k.emptied.Seconds())
	if k.moment.worked != "" {
		note += fmt.Sprintf("; %s: %d", k.moment.worked, k.works.Load())
	}
	if k.hits > 0 {
		note += fmt.Sprintf(", %d of the kills within one", k.hits)
	}
	return note + "; " + k.book.others()
}

// verdict says what did not hold, losses aside.
func (k *killing) verdict() error {
	switch {
	case k.measured == 0:
		return errors.New("nothing ever waited when it was killed; send more, or deliver slower")
	case k.recovery > promisedRecovery:
		return fmt.Errorf("delivery went on only %.2f s after a start; %s is promised", k.recovery.Seconds(), promisedRecovery)
	case k.moment.worked != "" && k.works.Load() == 0:
		return fmt.Errorf("%s: none was done", k.moment.worked)
	}
	return nil
}
