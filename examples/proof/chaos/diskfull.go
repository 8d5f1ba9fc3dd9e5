package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

var diskFullScenario = scenario{
	name: "diskfull",
	text: "a disk that is full, that cannot be written, or only read",
	run:  runDiskFull,
}

// runDiskFull does all of them at once, since each is mostly waiting.
func runDiskFull(ctx context.Context, e *env) ([]result, error) {
	parts := []struct {
		fault string
		size  int // of the filesystem, in MiB
		run   func(context.Context, *env, *cramped) (result, error)
	}{
		{"disk full: another file takes the space", 16, fillBesides},
		{"disk full: another file takes the space and stays", 24, fillForGood},
		{"disk full: kill -9 and start while it is", 16, killWhileFull},
		{"disk full: the queue itself, and nothing is deleted", e.pick(24, 256), fillByItself},
		{"writes fail", 128, failWrites},
		{"read-only filesystem at the start", 16, startReadOnly},
		{"no room for a new queue at the start", 16, startWithoutRoom},
	}
	rows, errs := make([]result, len(parts)), make([]error, len(parts))
	var work sync.WaitGroup
	for i, part := range parts {
		work.Go(func() {
			row, err := e.cramped(ctx, part.size, part.run)
			row.fault = part.fault
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", part.fault, err)
				row.note = "FAILED; " + row.note
			}
			rows[i] = row
		})
	}
	work.Wait()
	return rows, errors.Join(errs...)
}

// fillBesides has another file take all the space while the upstream is away,
// and then deletes it.
func fillBesides(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(1, 5)
	var refusedAfter time.Duration
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	for n := range times {
		c.ledger.backend("ehr").leave()
		if _, err := c.volume.fill(); err != nil {
			return result{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		// What is stored already needs no room.
		if _, err := c.expect(ctx, c.known, true); err != nil {
			return result{}, fmt.Errorf("while the disk is full: %w", err)
		}
		f := c.fleet()
		f.padding = 64_000 // where the others fall short by a little, this one has no chance
		p := f.post("refused-"+strconv.Itoa(n), false)
		took, err := c.refusal(ctx, p)
		if err != nil {
			return result{}, err
		}
		refusedAfter = max(refusedAfter, took)
		if err := c.volume.relieve(ctx); err != nil {
			return result{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return result{}, err
		}
		// It left no trace behind that would make it a duplicate.
		if _, err := c.expect(ctx, p, false); err != nil {
			return result{}, err
		}
		if err := c.ledger.backend("ehr").come(ctx); err != nil {
			return result{}, err
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("503 with Retry-After after %.1f s, accepting resumed by itself, what was refused is no duplicate", refusedAfter.Seconds()))
}

// fillForGood has another file take all the space while events wait, and stay. The
// deliveries go on, and make the room in which accepting resumes, until that is used up.
func fillForGood(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(2, 5)
	ehr := c.ledger.backend("ehr")
	ehr.leave()
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	if err := eventually(ctx, "events to wait", func() (bool, error) { return c.book.events() >= 800, c.alive() }); err != nil {
		return result{}, err
	}
	if _, err := c.volume.fill(); err != nil {
		return result{}, err
	}
	waiting := 0
	for range times {
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		w := c.ledger.watch(c.book)
		began := time.Now()
		if err := ehr.come(ctx); err != nil {
			return result{}, err
		}
		err := w.wait(ctx, longestPause, c.proc.ended)
		left := w.left()
		w.end()
		if err != nil {
			return result{}, err
		}
		if left > 0 {
			return result{}, fmt.Errorf("on the full disk %d of %d deliveries are missing; the gateway printed last:\n%s", left, w.number, c.proc.tail(10))
		}
		waiting += w.number
		if err := c.resumed(ctx, began); err != nil {
			return result{}, fmt.Errorf("with all %d that waited delivered, on the full disk: %w", w.number, err)
		}
		ehr.leave()
	}
	return c.finish(ctx, times, fmt.Sprintf("%s deliveries on the full disk made room, and accepting resumed by itself", thousands(waiting)))
}

// killWhileFull kills the gateway while the disk is full, and starts it while it
// still is: what waits is delivered although nothing can be written.
func killWhileFull(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(2, 20)
	ehr := c.ledger.backend("ehr")
	var slowest time.Duration
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	for range times {
		ehr.leave()
		if _, err := c.volume.fill(); err != nil {
			return result{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		if err := ehr.come(ctx); err != nil {
			return result{}, err
		}
		w := c.ledger.watch(c.book)
		if err := c.kill(); err != nil {
			return result{}, err
		}
		if err := c.start(ctx, c.text); err != nil {
			return result{}, err
		}
		err := c.delivering(ctx, w)
		slowest = max(slowest, time.Since(c.proc.began))
		w.end()
		if err != nil {
			return result{}, err
		}
		if err := c.volume.relieve(ctx); err != nil {
			return result{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return result{}, err
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("delivering at most %s after the start, on the full disk", milliseconds(slowest)))
}

// fillByItself lets the queue grow until the disk is full. The deliveries alone
// have to make room.
func fillByItself(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(2, 5)
	ehr := c.ledger.backend("ehr")
	if err := c.send(ctx, 0); err != nil {
		return result{}, err
	}
	for range times {
		ehr.leave()
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		if err := ehr.come(ctx); err != nil {
			return result{}, err
		}
		w := c.ledger.watch(c.book)
		err := c.delivering(ctx, w)
		w.end()
		if err != nil {
			return result{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			c.load.stop()
			row, settleErr := c.settle(ctx, c.book, stallTime)
			row.times = times
			return row, errors.Join(err, settleErr)
		}
	}
	return c.finish(ctx, times, "deliveries made room, and accepting resumed by itself")
}
