package disk

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// failWrites makes the gateway's writes fail, as on a broken disk: all of them, or all except those to the
// beginning of the file, so that only some pages of a commit are written. The error is EFBIG, which is
// not the error of a full disk.
func failWrites(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(2, 10)
	var rejectedAfter time.Duration
	if err := c.send(ctx, steady); err != nil {
		return table.Row{}, err
	}
	for n := range times {
		size := int64(0)
		if n%2 == 1 {
			size = 256 << 10
			c.Ledger.Backend("ehr").Stop()
		}
		if err := c.limitFiles(ctx, strconv.FormatInt(size, 10)); err != nil {
			return table.Row{}, err
		}
		if err := c.stalled(ctx); err != nil {
			return table.Row{}, err
		}
		if n == 0 {
			took, err := c.ExpectRejected(ctx, c.Fleet().Post("unwritten", false))
			if err != nil {
				return table.Row{}, err
			}
			rejectedAfter = took
		}
		if err := c.limitFiles(ctx, "unlimited"); err != nil {
			return table.Row{}, err
		}
		if err := c.resumed(ctx, time.Now()); err != nil {
			return table.Row{}, err
		}
		if n == 0 {
			if err := c.Expect(ctx, c.book, c.Fleet().Post("after", false), false); err != nil {
				return table.Row{}, err
			}
		}
		if n%2 == 1 {
			if err := c.Ledger.Backend("ehr").Start(ctx); err != nil {
				return table.Row{}, err
			}
		}
	}
	return c.finish(ctx, times, fmt.Sprintf("503 with Retry-After after %.1f s, accepting resumed by itself", rejectedAfter.Seconds()))
}

// limitFiles sets the maximum size of files that the gateway writes, in bytes.
func (c *smallDisk) limitFiles(ctx context.Context, size string) error {
	// Only the soft limit changes, so that it can be raised again.
	if err := scenario.Command(ctx, "prlimit", "--pid", strconv.Itoa(c.Proc.PID()), "--fsize="+size+":"); err != nil {
		return fmt.Errorf("limiting the gateway's writes: %w; install prlimit with: apt-get install util-linux", err)
	}
	return nil
}

// startReadOnly starts the gateway on a read-only file system, where it must end with an error that says
// so, and then on a writable one.
func startReadOnly(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(1, 5)
	c.Ledger.Backend("ehr").Stop()
	for n := range times {
		if err := c.send(ctx, steady); err != nil {
			return table.Row{}, err
		}
		c.load.Stop()
		if err := c.Stop(); err != nil {
			return table.Row{}, err
		}
		if err := c.volume.ReadOnly(ctx, true); err != nil {
			return table.Row{}, err
		}
		if err := c.Refuses(c.text, c.volume.QueueFile(), "read-only", "readonly"); err != nil {
			return table.Row{}, err
		}
		if err := c.volume.ReadOnly(ctx, false); err != nil {
			return table.Row{}, err
		}
		began := time.Now()
		if err := c.Start(ctx, c.text); err != nil {
			return table.Row{}, err
		}
		p := c.Fleet().Post("writable-"+strconv.Itoa(n), false)
		if err := c.Expect(ctx, c.book, p, false); err != nil {
			return table.Row{}, err
		}
		c.longest = max(c.longest, time.Since(began))
	}
	return c.finish(ctx, times, "the start ends with an error that names the file")
}

// startWithoutRoom starts the gateway without a queue and without enough space for a new one. It must end
// with an error that says so. With enough space it must make the queue, whatever the first start left.
func startWithoutRoom(ctx context.Context, e *scenario.Env, c *smallDisk) (table.Row, error) {
	times := e.Pick(4, 12)
	if err := c.send(ctx, steady); err != nil {
		return table.Row{}, err
	}
	c.load.Stop()
	for n := range times {
		room := n % 4 * 4 // KiB; a new file has 16
		if err := c.Stop(); err != nil {
			return table.Row{}, err
		}
		fresh := filepath.Join(c.volume.Dir, fmt.Sprintf("fresh-%d.db", n))
		text := strings.Replace(c.text, c.volume.QueueFile(), fresh, 1)
		if err := c.volume.FillBut(int64(room) << 10); err != nil {
			return table.Row{}, err
		}
		if err := c.Refuses(text, fresh, "no space left", "disk is full"); err != nil {
			return table.Row{}, err
		}
		if err := c.volume.Clear(); err != nil {
			return table.Row{}, err
		}
		began := time.Now()
		if err := c.Start(ctx, text); err != nil {
			return table.Row{}, fmt.Errorf("with space again, after a start with %d KiB: %w", room, err)
		}
		c.longest = max(c.longest, time.Since(began))
		if err := c.Stop(); err != nil {
			return table.Row{}, err
		}
		if err := c.Start(ctx, c.text); err != nil {
			return table.Row{}, err
		}
	}
	return c.finish(ctx, times, "the start ends with an error that names the file, and succeeds with space")
}
