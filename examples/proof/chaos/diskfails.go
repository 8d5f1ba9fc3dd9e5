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

// failWrites has the kernel refuse the gateway's writes, as a disk that fails
// would: all of them, or all but those to the file's beginning, so that some
// pages of a commit are written and others are not. The error is EFBIG, which is
// not that of a full disk.
func failWrites(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(2, 10)
	var refusedAfter time.Duration
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	for n := range times {
		size := int64(0)
		if n%2 == 1 {
			size = 256 << 10
			c.ledger.backend("ehr").leave()
		}
		if err := c.limitFiles(ctx, strconv.FormatInt(size, 10)); err != nil {
			return result{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return result{}, err
		}
		if n == 0 {
			took, err := c.refusal(ctx, c.fleet().post("unwritten", false))
			if err != nil {
				return result{}, err
			}
			refusedAfter = took
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
			if err := c.ledger.backend("ehr").come(ctx); err != nil {
				return result{}, err
			}
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("503 with Retry-After after %.1f s, accepting resumed by itself", refusedAfter.Seconds()))
}

// limitFiles sets how long a file the gateway may write, in bytes.
func (c *cramped) limitFiles(ctx context.Context, size string) error {
	// A hard limit that stays lets the soft one be raised again by anybody.
	if err := command(ctx, "prlimit", "--pid", strconv.Itoa(c.proc.pid()), "--fsize="+size+":"); err != nil {
		return fmt.Errorf("limiting what the gateway may write: %w; prlimit comes with util-linux", err)
	}
	return nil
}

// startReadOnly starts the gateway on a filesystem that takes no writes, which
// it must refuse in words, and then on one that does.
func startReadOnly(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(1, 5)
	c.ledger.backend("ehr").leave()
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

// startWithoutRoom starts the gateway with a queue that is not there yet, and no
// room to make all of it, which it must refuse in words; with room, it must make
// it, whatever it left behind.
func startWithoutRoom(ctx context.Context, e *env, c *cramped) (result, error) {
	times := e.pick(4, 12)
	if err := c.send(ctx, steady); err != nil {
		return result{}, err
	}
	c.load.stop()
	for n := range times {
		room := n % 4 * 4 // KiB: a new file has 16 at once
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
			return result{}, fmt.Errorf("with room again, and %d KiB before: %w", room, err)
		}
		c.longest = max(c.longest, time.Since(began))
		if err := c.stop(); err != nil {
			return result{}, err
		}
		if err := c.start(ctx, c.text); err != nil {
			return result{}, err
		}
	}
	return c.finish(ctx, times, "the start ends with an error that names the file, and with room makes it")
}

// refuses starts the gateway, which has to end with an error that names the queue's
// file, and the reason in one of some words.
func (c *cramped) refuses(text, file string, reasons ...string) error {
	if err := c.launch(text); err != nil {
		return err
	}
	select {
	case <-c.proc.ended:
		c.proc.asked.Store(true) // it was to end
	case <-time.After(patience):
		return fmt.Errorf("the gateway started, and should have refused to for one of %q", reasons)
	}
	printed := c.proc.tail(20)
	given := slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(printed, reason) })
	if !given || !strings.Contains(printed, file) {
		return fmt.Errorf("the gateway's error should name %s and give one of the reasons %q; it printed last:\n%s", file, reasons, printed)
	}
	return c.proc.verdict()
}
