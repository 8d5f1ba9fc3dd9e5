package crash

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// A killRun kills a gateway again and again during one activity.
type killRun struct {
	rig      *gateway.Rig
	book     *ledger.Book
	fleet    load.Fleet
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
	post load.Post
	id   string
	sent time.Time
}

// killAt kills a new gateway as many times as the activity says.
func killAt(ctx context.Context, e *scenario.Env, m activity) (row table.Row, err error) {
	if m.upstreams == nil {
		m.upstreams = []string{"ehr", "audit"}
	}
	r, err := e.NewRig(ctx, m.upstreams...)
	if err != nil {
		return row, err
	}
	defer r.CloseInto(&err)
	k := &killRun{rig: r, book: ledger.NewBook(), fleet: r.Fleet(), activity: m, text: r.Caddyfile(m.options)}
	k.fleet.Rate, k.fleet.Again = m.rate, true
	for name, behavior := range m.behaviors {
		r.Ledger.Backend(name).Behave(behavior)
		if behavior.RejectAll {
			k.fleet.Upstreams = without(m.upstreams, name)
		}
	}
	if err := r.Start(ctx, k.text); err != nil {
		return row, err
	}
	l := k.fleet.Start(ctx, k.book)
	defer l.Stop()
	times := e.Pick(m.small, m.large)
	var failure error
	for k.kills < times && failure == nil {
		failure = k.cycle(ctx, times)
	}
	l.Stop()
	row, err = r.Settle(ctx, k.book, await.Patience) // count lost events also after a failure
	row.Times, row.Recovery, row.Note = k.kills, k.recovery, k.note()
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
		if err := k.rig.Launch(k.text); err != nil {
			return err
		}
		time.Sleep(scenario.Random(300 * time.Millisecond))
		if err := k.kill(); err != nil {
			return err
		}
	}
	// A backend may still accept a delivery of the killed gateway.
	if err := await.Sleep(ctx, k.slowestBackend()+10*time.Millisecond); err != nil {
		return err
	}
	w := k.rig.Ledger.Watch(k.book)
	defer w.End()
	if err := k.rig.Start(ctx, k.text); err != nil {
		return err
	}
	if err := k.recover(ctx, w); err != nil {
		return err
	}
	return errors.Join(k.rig.OnlyStore(), k.resendKnown(ctx))
}

// slowestBackend returns the longest delay of a backend.
func (k *killRun) slowestBackend() (longest time.Duration) {
	for _, m := range k.activity.behaviors {
		longest = max(longest, m.Delay)
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
	case <-time.After(100*time.Millisecond + scenario.Random(700*time.Millisecond)):
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
	return k.rig.Kill()
}

// recover measures the time from the start to the first delivery of a waiting event. In every second cycle
// it waits for all of them.
func (k *killRun) recover(ctx context.Context, w *ledger.Watch) error {
	if w.Number == 0 {
		return nil
	}
	took, err := k.rig.After(ctx, w.First, "the first delivery of a waiting event")
	if err != nil {
		return err
	}
	k.measured++
	k.recovery = max(k.recovery, took)
	if k.measured%2 == 0 {
		return nil
	}
	if err := w.Wait(ctx, await.Patience, k.rig.Proc.Ended); err != nil {
		return err
	}
	if n := w.Left(); n > 0 {
		return fmt.Errorf("waiting for %d deliveries: %d are missing, and none came for %s; the gateway's last lines are:\n%s", w.Number, n, await.Patience, k.rig.Proc.Tail(10))
	}
	k.emptied = max(k.emptied, time.Since(k.rig.Proc.Began))
	k.emptied = max(k.emptied, took)
	return nil
}

func (k *killRun) note() string {
	note := fmt.Sprintf("all waiting events: within %.2f s", k.emptied.Seconds())
	if k.activity.worked != "" {
		note += fmt.Sprintf("; %s: %d", k.activity.worked, k.works.Load())
	}
	if k.hits > 0 {
		note += fmt.Sprintf(", %d of the kills during one", k.hits)
	}
	return note + "; " + k.book.Others()
}

// verdict returns an error if a promise other than the deliveries was broken.
func (k *killRun) verdict() error {
	switch {
	case k.measured == 0:
		return errors.New("no event waited at any kill; send more, or deliver slower")
	case k.recovery > scenario.PromisedRecovery:
		return fmt.Errorf("delivery resumed only %.2f s after a start; %s is promised", k.recovery.Seconds(), scenario.PromisedRecovery)
	case k.activity.worked != "" && k.works.Load() == 0:
		return fmt.Errorf("%s: there was none", k.activity.worked)
	}
	return nil
}
