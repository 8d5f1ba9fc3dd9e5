package disk

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Full fills or breaks the disk.
var Full = scenario.Scenario{
	Name: "diskfull",
	Text: "a disk that is full, fails or is read-only",
	Run:  runDiskFull,
}

// runDiskFull runs all parts at once, since each of them mostly waits.
func runDiskFull(ctx context.Context, e *scenario.Env) ([]table.Row, error) {
	parts := []struct {
		fault string
		size  int // of the file system, in MiB
		run   func(context.Context, *scenario.Env, *smallDisk) (table.Row, error)
	}{
		{"disk full: another file takes the space", 16, fillBesides},
		{"disk full: another file takes the space and stays", 24, fillForGood},
		{"disk full: kill -9 and start while it is", 16, killWhileFull},
		{"disk full: the queue itself, and nothing is deleted", e.Pick(24, 256), fillByItself},
		{"writes fail", 128, failWrites},
		{"read-only filesystem at the start", 16, startReadOnly},
		{"no room for a new queue at the start", 16, startWithoutRoom},
	}
	rows, errs := make([]table.Row, len(parts)), make([]error, len(parts))
	var work sync.WaitGroup
	for i, part := range parts {
		work.Go(func() {
			row, err := onSmallDisk(ctx, e, part.size, part.run)
			row.Fault = part.fault
			if err != nil {
				errs[i] = fmt.Errorf("%s: %w", part.fault, err)
				row.Note = "FAILED; " + row.Note
			}
			rows[i] = row
		})
	}
	work.Wait()
	return rows, errors.Join(errs...)
}

// fillBesides fills the disk with another file while the upstream is down, and then deletes that file.
func fillBesides(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(1, 5)
	var rejectedAfter time.Duration
	if err := c.send(ctx, steady); err != nil {
		return table.Row{}, err
	}
	for n := range times {
		c.Ledger.Backend("ehr").Stop()
		if _, err := c.volume.Fill(); err != nil {
			return table.Row{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return table.Row{}, err
		}
		// A duplicate needs no space.
		if err := c.Expect(ctx, c.book, c.known, true); err != nil {
			return table.Row{}, fmt.Errorf("while the disk is full: %w", err)
		}
		f := c.Fleet()
		f.Padding = 64_000 // so large that it certainly does not fit
		p := f.Post("refused-"+strconv.Itoa(n), false)
		took, err := c.ExpectRejected(ctx, p)
		if err != nil {
			return table.Row{}, err
		}
		rejectedAfter = max(rejectedAfter, took)
		if err := c.volume.Enlarge(ctx); err != nil {
			return table.Row{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return table.Row{}, err
		}
		// The rejected event must not count as a duplicate.
		if err := c.Expect(ctx, c.book, p, false); err != nil {
			return table.Row{}, err
		}
		if err := c.Ledger.Backend("ehr").Start(ctx); err != nil {
			return table.Row{}, err
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("503 with Retry-After after %.1f s, accepting resumed by itself, the rejected event is not a duplicate", rejectedAfter.Seconds()))
}

// fillForGood fills the disk with another file, which stays, while events wait. The deliveries continue and
// free space, so that accepting resumes until that space is used up.
func fillForGood(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(2, 5)
	ehr := c.Ledger.Backend("ehr")
	ehr.Stop()
	if err := c.send(ctx, steady); err != nil {
		return table.Row{}, err
	}
	if err := await.Eventually(ctx, "waiting events", func() (bool, error) { return c.book.Events() >= 800, c.Alive() }); err != nil {
		return table.Row{}, err
	}
	if _, err := c.volume.Fill(); err != nil {
		return table.Row{}, err
	}
	waiting := 0
	for range times {
		if err := c.stalled(ctx); err != nil {
			return table.Row{}, err
		}
		w := c.Ledger.Watch(c.book)
		began := time.Now()
		if err := ehr.Start(ctx); err != nil {
			return table.Row{}, err
		}
		err := w.Wait(ctx, scenario.LongestPause, c.Proc.Ended)
		left := w.Left()
		w.End()
		if err != nil {
			return table.Row{}, err
		}
		if left > 0 {
			return table.Row{}, fmt.Errorf("on the full disk %d of %d deliveries are missing; the gateway's last lines are:\n%s", left, w.Number, c.Proc.Tail(10))
		}
		waiting += w.Number
		if err := c.resumed(ctx, began); err != nil {
			return table.Row{}, fmt.Errorf("after %d deliveries on the full disk: %w", w.Number, err)
		}
		ehr.Stop()
	}
	return c.finish(ctx, times, fmt.Sprintf("%s deliveries on the full disk freed space, and accepting resumed by itself", table.Thousands(waiting)))
}

// killWhileFull kills and starts the gateway while the disk is full. The waiting events must be delivered
// although nothing can be written.
func killWhileFull(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(2, 20)
	ehr := c.Ledger.Backend("ehr")
	var slowest time.Duration
	if err := c.send(ctx, steady); err != nil {
		return table.Row{}, err
	}
	for range times {
		ehr.Stop()
		if _, err := c.volume.Fill(); err != nil {
			return table.Row{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return table.Row{}, err
		}
		if err := ehr.Start(ctx); err != nil {
			return table.Row{}, err
		}
		w := c.Ledger.Watch(c.book)
		if err := c.Kill(); err != nil {
			return table.Row{}, err
		}
		if err := c.Start(ctx, c.text); err != nil {
			return table.Row{}, err
		}
		err := c.delivering(ctx, w)
		slowest = max(slowest, time.Since(c.Proc.Began))
		w.End()
		if err != nil {
			return table.Row{}, err
		}
		if err := c.volume.Enlarge(ctx); err != nil {
			return table.Row{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return table.Row{}, err
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("first delivery at most %s after the start, on the full disk", table.Milliseconds(slowest)))
}

// fillByItself lets the queue grow until the disk is full. Only the deliveries free space.
func fillByItself(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(2, 5)
	ehr := c.Ledger.Backend("ehr")
	if err := c.send(ctx, 0); err != nil {
		return table.Row{}, err
	}
	for range times {
		ehr.Stop()
		if err := c.stalled(ctx); err != nil {
			return table.Row{}, err
		}
		if err := ehr.Start(ctx); err != nil {
			return table.Row{}, err
		}
		w := c.Ledger.Watch(c.book)
		err := c.delivering(ctx, w)
		w.End()
		if err != nil {
			return table.Row{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			c.load.Stop()
			row, settleErr := c.Settle(ctx, c.book, stallTime)
			row.Times = times
			return row, errors.Join(err, settleErr)
		}
	}
	return c.finish(ctx, times, "deliveries freed space, and accepting resumed by itself")
}
