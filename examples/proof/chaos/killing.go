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
	// promisedRecovery is the promised maximum time from the start of the process to the first delivery.
	promisedRecovery = 2 * time.Second

	// patience is the maximum time until the next delivery after a start. All waits between attempts are much
	// shorter.
	patience = 15 * time.Second
)

// A killRun kills a gateway again and again during one activity.
type killRun struct {
	rig      *rig
	book     *book
	fleet    fleet
	activity activity
	text     string // of the Caddyfile

	kills    int
	recovery time.Duration // longest time from the start of the process to the first delivery of a waiting event
	emptied  time.Duration // longest time to the last one
	measured int           // number of recoveries
	known    []knownPost

	works atomic.Int64 // number of completed works of the activity
	busy  atomic.Bool  // whether a work is in progress
	hits  int          // number of kills during a work
}

// A knownPost is an acknowledged post.
type knownPost struct {
	post post
	id   string
	sent time.Time
}

// killAt kills a new gateway as many times as the activity says.
func (e *env) killAt(ctx context.Context, m activity) (row result, err error) {
	if m.upstreams == nil {
		m.upstreams = []string{"ehr", "audit"}
	}
	r, err := e.newRig(ctx, m.upstreams...)
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	k := &killRun{rig: r, book: newBook(), fleet: r.fleet(), activity: m, text: r.caddyfile(m.options)}
	k.fleet.rate, k.fleet.again = m.rate, true
	for name, behavior := range m.behaviors {
		r.ledger.backend(name).behave(behavior)
		if behavior.rejectAll {
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
	row, err = r.settle(ctx, k.book, patience) // count lost events also after a failure
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

// cycle kills and restarts the gateway once.
func (k *killRun) cycle(ctx context.Context, times int) error {
	if k.activity.prepare != nil {
		if err := k.activity.prepare(ctx, k); err != nil {
			return err
		}
	}
	k.sendKnown(ctx)
	if err := k.killUnderLoad(ctx); err != nil {
		return err
	}
	if k.activity.restore != nil {
		k.activity.restore(k)
	}
	for n := 0; k.activity.early && n < 2 && k.kills < times; n++ {
		if err := k.rig.launch(k.text); err != nil {
			return err
		}
		time.Sleep(random(300 * time.Millisecond))
		if err := k.kill(); err != nil {
			return err
		}
	}
	// A backend may still accept a delivery of the killed gateway.
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
	return errors.Join(k.rig.onlyStore(), k.resendKnown(ctx))
}

// slowestBackend returns the longest delay of a backend.
func (k *killRun) slowestBackend() (longest time.Duration) {
	for _, m := range k.activity.behaviors {
		longest = max(longest, m.delay)
	}
	return longest
}

// killUnderLoad kills the gateway at a random time during the activity's work.
func (k *killRun) killUnderLoad(ctx context.Context) error {
	var killed atomic.Bool
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	work, working := errgroup.WithContext(working)
	if k.activity.work != nil {
		work.Go(func() error {
			if err := k.activity.work(working, k); !killed.Load() {
				return err // after the kill, an error is expected
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

func (k *killRun) kill() error {
	k.kills++
	return k.rig.kill()
}

// recover measures the time from the start to the first delivery of a waiting event. In every second cycle
// it waits for all of them.
func (k *killRun) recover(ctx context.Context, w *watch) error {
	if w.number == 0 {
		return nil
	}
	took, err := k.rig.after(ctx, w.first, "the first delivery of a waiting event")
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
		return fmt.Errorf("waiting for %d deliveries: %d are missing, and none came for %s; the gateway's last lines are:\n%s", w.number, n, patience, k.rig.proc.tail(10))
	}
	k.emptied = max(k.emptied, time.Since(k.rig.proc.began))
	k.emptied = max(k.emptied, took)
	return nil
}

// after waits for a time on reported, and returns the duration from the start of the process until that time.
func (r *rig) after(ctx context.Context, reported <-chan time.Time, what string) (time.Duration, error) {
	select {
	case at := <-reported:
		return at.Sub(r.proc.began), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("waiting for %s: it did not come within %s; the gateway's last lines are:\n%s", what, patience, r.proc.tail(10))
	case <-r.proc.ended:
		return 0, fmt.Errorf("waiting for %s: the gateway ended; its last lines are:\n%s", what, r.proc.tail(20))
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for %s: %w", what, context.Cause(ctx))
	}
}

func (k *killRun) note() string {
	note := fmt.Sprintf("all waiting events: within %.2f s", k.emptied.Seconds())
	if k.activity.worked != "" {
		note += fmt.Sprintf("; %s: %d", k.activity.worked, k.works.Load())
	}
	if k.hits > 0 {
		note += fmt.Sprintf(", %d of the kills during one", k.hits)
	}
	return note + "; " + k.book.others()
}

// verdict returns an error if a promise other than the deliveries was broken.
func (k *killRun) verdict() error {
	switch {
	case k.measured == 0:
		return errors.New("no event waited at any kill; send more, or deliver slower")
	case k.recovery > promisedRecovery:
		return fmt.Errorf("delivery resumed only %.2f s after a start; %s is promised", k.recovery.Seconds(), promisedRecovery)
	case k.activity.worked != "" && k.works.Load() == 0:
		return fmt.Errorf("%s: there was none", k.activity.worked)
	}
	return nil
}
