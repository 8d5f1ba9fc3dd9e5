package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var compactScenario = scenario{
	name: "compact",
	text: "the file is compacted under live traffic, and kill -9 at random moments of it",
	run:  runCompact,
}

// maxHoldUp is how long a request may be held up while the file is compacted.
// What is promised is a second; the rest is for a busy machine.
const maxHoldUp = 2 * time.Second

// A compaction is a queue file that a backlog has grown, under live traffic.
type compaction struct {
	rig  *rig
	book *book
	text string
}

func runCompact(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	c := compaction{rig: r, book: newBook(), text: r.caddyfile(options{upstream: map[string]string{"ehr": "concurrency 64"}})}
	if err := r.start(ctx, c.text); err != nil {
		return nil, err
	}
	number := e.pick(12_000, 300_000)
	grown, err := c.grow(ctx, e, number)
	if err != nil {
		return nil, err
	}
	live := r.fleet()
	live.senders, live.rate, live.again = 8, 200, true
	l := live.start(ctx, c.book)
	defer l.stop()

	// Half of the backlog waits still.
	first, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.say("  half drained: %s", first)
	times := e.pick(6, 50)
	kills, err := c.kill(ctx, times, number/4/times, first.took)
	if err != nil {
		return nil, err
	}
	e.say("  %s", kills)
	if err := r.ledger.backend("ehr").come(ctx); err != nil {
		return nil, err
	}
	if err := r.drain(ctx, e, c.book); err != nil {
		return nil, err
	}
	second, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.say("  drained: %s", second)
	l.stop()
	row, err := r.settle(ctx, c.book, time.Minute)
	if err != nil {
		return nil, err
	}
	row.fault, row.times, row.recovery = "kill -9 while the file is compacted", kills.times, kills.recovery
	row.note = fmt.Sprintf("the backlog grew the file to %s; half drained: %s; drained: %s; %s; %s", mebibytes(grown), first, second, kills, c.book.others())
	return []result{row}, errors.Join(kills.verdict(), first.verdict(), second.verdict(), shrunk(grown, second.size.After))
}

// grow has a backlog of long notes grow the file, to the size that it returns,
// and half of it delivered.
func (c compaction) grow(ctx context.Context, e *env, number int) (size int64, err error) {
	ehr := c.rig.ledger.backend("ehr")
	ehr.leave()
	f := c.rig.fleet()
	f.senders, f.limit, f.padding = 64, number, 12<<10
	if err := e.progress(ctx, f.start(ctx, c.book), c.book, number); err != nil {
		return 0, err
	}
	if size, err = c.rig.fileSize(); err != nil {
		return 0, err
	}
	e.say("  %d waiting in %s", number, mebibytes(size))
	if err := ehr.come(ctx); err != nil {
		return 0, err
	}
	for ehr.events() < number/2 {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("draining half of the backlog: %w", err)
		}
	}
	ehr.leave()
	return size, nil
}

// A measurement is how long requests took before and during a compaction.
type measurement struct {
	size           compacted
	took           time.Duration
	before, during time.Duration // the slowest
}

func (m measurement) String() string {
	return fmt.Sprintf("%s to %s in %.2f s, slowest accept %.0f ms (%.0f ms before)",
		mebibytes(m.size.Before), mebibytes(m.size.After), m.took.Seconds(), 1e3*m.during.Seconds(), 1e3*m.before.Seconds())
}

func (m measurement) verdict() error {
	if m.during > maxHoldUp {
		return fmt.Errorf("accepting was held up for %.2f s by a compaction; a second is promised", m.during.Seconds())
	}
	return nil
}

// shrunk says whether a compaction left too much of a file that a backlog had
// grown and that has been drained since.
func shrunk(grown, after int64) error {
	if after > grown/4 {
		return fmt.Errorf("the backlog grew the file to %s; after it was drained, compaction left %s of that", mebibytes(grown), mebibytes(after))
	}
	return nil
}

func (c compaction) measure(ctx context.Context) (m measurement, err error) {
	c.book.slowestSince()
	time.Sleep(2 * time.Second)
	m.before = c.book.slowestSince()
	began := time.Now()
	if m.size, err = c.rig.compact(ctx); err != nil {
		return m, err
	}
	m.took = time.Since(began)
	time.Sleep(300 * time.Millisecond) // for the answer to a request that was held up at the end
	m.during = c.book.slowestSince()
	return m, nil
}

// kills are what came of killing the gateway while it compacted.
type kills struct {
	times    int
	within   int // kills while a compaction was under way
	recovery time.Duration
}

func (k kills) String() string {
	return fmt.Sprintf("%d of %d kills within a compaction, which left nothing behind", k.within, k.times)
}

func (k kills) verdict() error {
	if k.within == 0 {
		return errors.New("no kill came while the file was compacted; grow it more")
	}
	if k.recovery > promisedRecovery {
		return fmt.Errorf("delivery went on only %.2f s after a start; %s is promised", k.recovery.Seconds(), promisedRecovery)
	}
	return nil
}

// kill kills the gateway at random moments of compactions, before each of which
// some events are delivered, so that there is space to give back. took is how long one
// takes at most.
func (c compaction) kill(ctx context.Context, times, some int, took time.Duration) (k kills, err error) {
	ehr := c.rig.ledger.backend("ehr")
	for k.times < times {
		if err := c.deliver(ctx, ehr, some); err != nil {
			return k, err
		}
		done := make(chan error, 1)
		go func() {
			_, err := c.rig.compact(ctx)
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				return k, err
			}
			took /= 2
		case <-time.After(random(took)):
			k.within++
		}
		k.times++
		if err := c.rig.kill(); err != nil {
			return k, err
		}
		w := c.rig.ledger.watch(c.book)
		recovery, err := c.restart(ctx, ehr, w)
		w.end()
		if err != nil {
			return k, err
		}
		k.recovery = max(k.recovery, recovery)
	}
	return k, nil
}

// deliver has the upstream take some of what waits.
func (c compaction) deliver(ctx context.Context, ehr *backend, some int) error {
	if err := ehr.come(ctx); err != nil {
		return err
	}
	defer ehr.leave()
	for until := ehr.events() + some; ehr.events() < until; {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("delivering some of what waits: %w", err)
		}
	}
	return nil
}

// restart starts the gateway and lets its backend take some of what waits.
func (c compaction) restart(ctx context.Context, ehr *backend, w *watch) (time.Duration, error) {
	if err := ehr.come(ctx); err != nil {
		return 0, err
	}
	defer ehr.leave() // what waits is to last for all the kills
	if err := c.rig.start(ctx, c.text); err != nil {
		return 0, err
	}
	recovery, err := c.rig.after(ctx, w.first, "the first delivery of an event that waited")
	if err != nil {
		return 0, err
	}
	return recovery, c.rig.onlyStore()
}
