package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var compactScenario = scenario{
	name: "compact",
	text: "the file is compacted under load, with kill -9 at random moments of a compaction",
	run:  runCompact,
}

// maxCompactionDelay is the maximum time of an answer during a compaction: the promised second, and a reserve
// for a busy machine.
const maxCompactionDelay = 2 * time.Second

// A compaction is a gateway with a large queue file, under load.
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

	// Half of the backlog still waits.
	first, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.logf("  half drained: %s", first)
	times := e.pick(6, 50)
	kills, err := c.kill(ctx, times, number/4/times, first.took)
	if err != nil {
		return nil, err
	}
	e.logf("  %s", kills)
	if err := r.ledger.backend("ehr").start(ctx); err != nil {
		return nil, err
	}
	if err := r.drain(ctx, e, c.book); err != nil {
		return nil, err
	}
	second, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.logf("  drained: %s", second)
	l.stop()
	row, err := r.settle(ctx, c.book, time.Minute)
	if err != nil {
		return nil, err
	}
	row.fault, row.times, row.recovery = "kill -9 while the file is compacted", kills.times, kills.recovery
	row.note = fmt.Sprintf("the backlog grew the file to %s; half drained: %s; drained: %s; %s; %s", mebibytes(grown), first, second, kills, c.book.others())
	return []result{row}, errors.Join(kills.verdict(), first.verdict(), second.verdict(), shrunk(grown, second.size.After))
}

// grow makes a backlog of long notes, and then delivers half of it. It returns the largest size of the
// file.
func (c compaction) grow(ctx context.Context, e *env, number int) (size int64, err error) {
	ehr := c.rig.ledger.backend("ehr")
	ehr.stop()
	f := c.rig.fleet()
	f.senders, f.limit, f.padding = 64, number, 12<<10
	if err := e.progress(ctx, f.start(ctx, c.book), c.book, number); err != nil {
		return 0, err
	}
	if size, err = c.rig.fileSize(); err != nil {
		return 0, err
	}
	e.logf("  %d waiting in %s", number, mebibytes(size))
	if err := ehr.start(ctx); err != nil {
		return 0, err
	}
	for ehr.events() < number/2 {
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("draining half of the backlog: %w", err)
		}
	}
	ehr.stop()
	return size, nil
}

// A measurement has the times of answers before and during a compaction.
type measurement struct {
	size           compacted
	took           time.Duration
	before, during time.Duration // the slowest answers
}

func (m measurement) String() string {
	return fmt.Sprintf("%s to %s in %.2f s, slowest accept %.0f ms (%.0f ms before)",
		mebibytes(m.size.Before), mebibytes(m.size.After), m.took.Seconds(), 1e3*m.during.Seconds(), 1e3*m.before.Seconds())
}

func (m measurement) verdict() error {
	if m.during > maxCompactionDelay {
		return fmt.Errorf("a compaction delayed an answer for %.2f s; a second is promised", m.during.Seconds())
	}
	return nil
}

// shrunk returns an error if the file is still too large after the backlog was delivered and the file
// was compacted.
func shrunk(grown, after int64) error {
	if after > grown/4 {
		return fmt.Errorf("the backlog grew the file to %s; after its delivery and a compaction it still has %s", mebibytes(grown), mebibytes(after))
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
	time.Sleep(300 * time.Millisecond) // for an answer that was delayed at the end
	m.during = c.book.slowestSince()
	return m, nil
}

// kills is the result of kills during compactions.
type kills struct {
	times    int
	within   int // number of kills during a compaction
	recovery time.Duration
}

func (k kills) String() string {
	return fmt.Sprintf("%d of %d kills during a compaction, and no file was left", k.within, k.times)
}

func (k kills) verdict() error {
	if k.within == 0 {
		return errors.New("no kill came during a compaction; grow the file more")
	}
	if k.recovery > promisedRecovery {
		return fmt.Errorf("delivery resumed only %.2f s after a start; %s is promised", k.recovery.Seconds(), promisedRecovery)
	}
	return nil
}

// kill kills the gateway at random moments of compactions. Before each of them some events are
// delivered, so that there is free space. took is the maximum duration of a compaction.
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

// deliver delivers some of the waiting events.
func (c compaction) deliver(ctx context.Context, ehr *backend, some int) error {
	if err := ehr.start(ctx); err != nil {
		return err
	}
	defer ehr.stop()
	for until := ehr.events() + some; ehr.events() < until; {
		if err := sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("delivering some waiting events: %w", err)
		}
	}
	return nil
}

// restart starts the gateway and waits for the first delivery of a waiting event.
func (c compaction) restart(ctx context.Context, ehr *backend, w *watch) (time.Duration, error) {
	if err := ehr.start(ctx); err != nil {
		return 0, err
	}
	defer ehr.stop() // keep waiting events for the other kills
	if err := c.rig.start(ctx, c.text); err != nil {
		return 0, err
	}
	recovery, err := c.rig.after(ctx, w.first, "the first delivery of an event that waited")
	if err != nil {
		return 0, err
	}
	return recovery, c.rig.onlyStore()
}
