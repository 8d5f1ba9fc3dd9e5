package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// failWrites makes the gateway's writes fail, as on a broken disk: all of them, or all except those to the
// beginning of the file, so that only some pages of a commit are written. The error is EFBIG, which is
// not the error of a full disk.
func failWrites(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(2, 10)
	var rejectedAfter time.Duration
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	for n := range times {
		size := int64(0)
		if n%2 == 1 {
			size = 256 << 10
			c.ledger.backend("ehr").stop()
		}
		if err := c.limitFiles(ctx, strconv.FormatInt(size, 10)); err != nil {
			return result{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		if n == 0 {
			took, err := c.expectRejected(ctx, c.fleet().post("unwritten", false))
			if err != nil {
				return result{}, err
			}
			rejectedAfter = took
		}
		if err := c.limitFiles(ctx, "unlimited"); err != nil {
			return result{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return result{}, err
		}
		if n == 0 {
			if _, err := c.expect(ctx, c.fleet().post("after", false), false); err != nil {
				return result{}, err
			}
		}
		if n%2 == 1 {
			if err := c.ledger.backend("ehr").start(ctx); err != nil {
				return result{}, err
			}
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("503 with Retry-After after %.1f s, accepting resumed by itself", rejectedAfter.Seconds()))
}

// limitFiles sets the maximum size of files that the gateway writes, in bytes.
func (c *smallDisk) limitFiles(ctx context.Context, size string) error {
	// Only the soft limit changes, so that it can be raised again.
	if err := command(ctx, "prlimit", "--pid", strconv.Itoa(c.proc.pid()), "--fsize="+size+":"); err != nil {
		return fmt.Errorf("limiting the gateway's writes: %w; install prlimit with: apt-get install util-linux", err)
	}
	return nil
}

// startReadOnly starts the gateway on a read-only file system, where it must end with an error that says
// so, and then on a writable one.
func startReadOnly(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(1, 5)
	c.ledger.backend("ehr").stop()
	for n := range times {
		if err := c.send(ctx, steady); err != nil {
			return result{}, err
		}
		c.load.stop()
		if err := c.stop(); err != nil {
			return result{}, err
		}
		if err := c.volume.readOnly(ctx, true); err != nil {
			return result{}, err
		}
		if err := c.refuses(c.text, c.volume.queueFile(), "read-only", "readonly"); err != nil {
			return result{}, err
		}
		if err := c.volume.readOnly(ctx, false); err != nil {
			return result{}, err
		}
		began := time.Now()
		if err := c.start(ctx, c.text); err != nil {
			return result{}, err
		}
		p := c.fleet().post("writable-"+strconv.Itoa(n), false)
		if _, err := c.expect(ctx, p, false); err != nil {
			return result{}, err
		}
		c.longest = max(c.longest, time.Since(began))
	}
	return c.finish(ctx, times, "the start ends with an error that names the file")
}

// startWithoutRoom starts the gateway without a queue and without enough space for a new one. It must end
// with an error that says so. With enough space it must make the queue, whatever the first start left.
func startWithoutRoom(ctx context.Context, e *env, c *smallDisk) (result, error) {
	times := e.pick(4, 12)
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	c.load.stop()
	for n := range times {
		room := n % 4 * 4 // KiB; a new file has 16
		if err := c.stop(); err != nil {
			return result{}, err
		}
		fresh := filepath.Join(c.volume.dir, fmt.Sprintf("fresh-%d.db", n))
		text := strings.Replace(c.text, c.volume.queueFile(), fresh, 1)
		if err := c.volume.fillBut(int64(room) << 10); err != nil {
			return result{}, err
		}
		if err := c.refuses(text, fresh, "no space left", "disk is full"); err != nil {
			return result{}, err
		}
		if err := c.volume.clear(); err != nil {
			return result{}, err
		}
		began := time.Now()
		if err := c.start(ctx, text); err != nil {
			return result{}, fmt.Errorf("with space again, after a start with %d KiB: %w", room, err)
		}
		c.longest = max(c.longest, time.Since(began))
		if err := c.stop(); err != nil {
			return result{}, err
		}
		if err := c.start(ctx, c.text); err != nil {
			return result{}, err
		}
	}
	return c.finish(ctx, times, "the start ends with an error that names the file, and succeeds with space")
}

// refuses starts the gateway, which must end with an error that contains the queue's file and one of the
// reasons.
func (c *smallDisk) refuses(text, file string, reasons ...string) error {
	if err := c.launch(text); err != nil {
		return err
	}
	select {
	case <-c.proc.ended:
		c.proc.asked.Store(true) // its end is expected
	case <-time.After(patience):
		return fmt.Errorf("the gateway started, want an error with one of %q", reasons)
	}
	printed := c.proc.tail(20)
	explained := slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(printed, reason) })
	if !explained || !strings.Contains(printed, file) {
		return fmt.Errorf("the gateway's error should contain %s and one of %q; its last lines are:\n%s", file, reasons, printed)
	}
	return c.proc.checkLog()
}
