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
	text: "a disk that is full, fails or is read-only",
	run:  runDiskFull,
}

// runDiskFull runs all parts at once, since each of them mostly waits.
func runDiskFull(ctx context.Context, e *env) ([]result, error) {
	parts := []struct {
		fault string
		size  int // of the file system, in MiB
		run   func(context.Context, *env, *smallDisk) (result, error)
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
			row, err := e.onSmallDisk(ctx, part.size, part.run)
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

// fillBesides fills the disk with another file while the upstream is down, and then deletes that file.
func fillBesides(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(1, 5)
	var rejectedAfter time.Duration
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	for n := range times {
		c.ledger.backend("ehr").stop()
		if _, err := c.volume.fill(); err != nil {
			return result{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		// A duplicate needs no space.
		if _, err := c.expect(ctx, c.known, true); err != nil {
			return result{}, fmt.Errorf("while the disk is full: %w", err)
		}
		f := c.fleet()
		f.padding = 64_000 // so large that it certainly does not fit
		p := f.post("refused-"+strconv.Itoa(n), false)
		took, err := c.expectRejected(ctx, p)
		if err != nil {
			return result{}, err
		}
		rejectedAfter = max(rejectedAfter, took)
		if err := c.volume.enlarge(ctx); err != nil {
			return result{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return result{}, err
		}
		// The rejected event must not count as a duplicate.
		if _, err := c.expect(ctx, p, false); err != nil {
			return result{}, err
		}
		if err := c.ledger.backend("ehr").start(ctx); err != nil {
			return result{}, err
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("503 with Retry-After after %.1f s, accepting resumed by itself, the rejected event is not a duplicate", rejectedAfter.Seconds()))
}

// fillForGood fills the disk with another file, which stays, while events wait. The deliveries continue and
// free space, so that accepting resumes until that space is used up.
func fillForGood(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(2, 5)
	ehr := c.ledger.backend("ehr")
	ehr.stop()
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	if err := eventually(ctx, "waiting events", func() (bool, error) { return c.book.events() >= 800, c.alive() }); err != nil {
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
		if err := ehr.start(ctx); err != nil {
			return result{}, err
		}
		err := w.wait(ctx, longestPause, c.proc.ended)
		left := w.left()
		w.end()
		if err != nil {
			return result{}, err
		}
		if left > 0 {
			return result{}, fmt.Errorf("on the full disk %d of %d deliveries are missing; the gateway's last lines are:\n%s", left, w.number, c.proc.tail(10))
		}
		waiting += w.number
		if err := c.resumed(ctx, began); err != nil {
			return result{}, fmt.Errorf("after %d deliveries on the full disk: %w", w.number, err)
		}
		ehr.stop()
	}
	return c.finish(ctx, times, fmt.Sprintf("%s deliveries on the full disk freed space, and accepting resumed by itself", thousands(waiting)))
}

// killWhileFull kills and starts the gateway while the disk is full. The waiting events must be delivered
// although nothing can be written.
func killWhileFull(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(2, 20)
	ehr := c.ledger.backend("ehr")
	var slowest time.Duration
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	for range times {
		ehr.stop()
		if _, err := c.volume.fill(); err != nil {
			return result{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		if err := ehr.start(ctx); err != nil {
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
		if err := c.volume.enlarge(ctx); err != nil {
			return result{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return result{}, err
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("first delivery at most %s after the start, on the full disk", milliseconds(slowest)))
}

// fillByItself lets the queue grow until the disk is full. Only the deliveries free space.
func fillByItself(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(2, 5)
	ehr := c.ledger.backend("ehr")
	if err := c.send(ctx, 0); err != nil {
		return result{}, err
	}
	for range times {
		ehr.stop()
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		if err := ehr.start(ctx); err != nil {
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
	return c.finish(ctx, times, "deliveries freed space, and accepting resumed by itself")
}
