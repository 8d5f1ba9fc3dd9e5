package power

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/proof/internal/powercut"
)

// tearing are the behaviors of a power cut that need the most recovery.
var tearing = []powercut.Manner{powercut.Ordered, powercut.Whole, powercut.Torn, powercut.Stale}

// cutTwice cuts the power under load, opens the queue that is left, and cuts the power again at random moments while
// it is opened.
func (c *recorded) cutTwice(ctx context.Context, e *scenario.Env, strace string, random *rand.Rand, scratch string) (table.Row, error) {
	began := time.Now()
	var total powercut.Result
	times := e.Pick(8, 100)
	for range times {
		cut := powercut.Cut{
			At:     max(1, c.rec.Answers[random.IntN(len(c.rec.Answers))].At-random.IntN(20)),
			Manner: tearing[random.IntN(len(tearing))],
			Seed:   random.Uint64(),
		}
		second, err := c.recordOpening(ctx, strace, cut, scratch)
		if err != nil {
			return table.Row{}, err
		}
		found, err := powercut.Replay(ctx, second, c.promise.After(c.rec, cut.At), second.Sample(e.Pick(40, 400), random), nil, scratch)
		if err != nil {
			return table.Row{}, err
		}
		total.Add(found)
	}
	row := c.row
	row.Fault, row.Times, row.Recovery, row.Lost = "power cut while opening after one", total.Cuts, total.Slowest, total.Lost
	row.Note = fmt.Sprintf("%d openings recorded", times)
	e.Logf("powercut: %s: %s replayed in %s", row.Fault, table.Thousands(total.Cuts), time.Since(began).Round(time.Second))
	return row, failed(total)
}

// failed returns an error if a power cut broke a promise.
func failed(found powercut.Result) error {
	if found.Failed == 0 {
		return nil
	}
	return fmt.Errorf("after %d of %d power cuts a promise was broken:\n%s", found.Failed, found.Cuts, strings.Join(found.Reports, "\n"))
}

// recordOpening records another process that opens the queue that a power cut left.
func (c *recorded) recordOpening(ctx context.Context, strace string, cut powercut.Cut, scratch string) (rec *powercut.Recording, err error) {
	dir, err := os.MkdirTemp(scratch, "opening-")
	if err != nil {
		return nil, fmt.Errorf("making a directory to record: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	root, log, script := filepath.Join(dir, "disk"), filepath.Join(dir, "strace"), filepath.Join(dir, "traced")
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Mkdir(root, 0o700), powercut.WriteCut(c.rec, cut, root), powercut.WriteWrapper(script, strace, self, log)); err != nil {
		return nil, err
	}
	base, err := powercut.ReadBase(root)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, script)
	cmd.Env = append(os.Environ(), openFileEnv+"="+filepath.Join(root, queueBelow), openKeyEnv+"="+c.promise.Keys[0].Encode())
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("opening the queue after a power cut at moment %d, unsynced data %s (seed %d): %w: %s", cut.At, cut.Manner, cut.Seed, err, out)
	}
	if err := waitLog(ctx, log, cmd.Process.Pid); err != nil {
		return nil, err
	}
	return readLog(log, root, base)
}

// waitLog waits for the end of strace's log.
func waitLog(ctx context.Context, log string, pid int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("a minute is over"))
	defer cancel()
	return powercut.WaitLog(ctx, log, pid)
}

// readLog reads a recording from strace's log, and checks that it is complete.
func readLog(log, root string, base *powercut.Base) (*powercut.Recording, error) {
	f, err := os.Open(log)
	if err != nil {
		return nil, fmt.Errorf("reading strace's log: %w", err)
	}
	defer f.Close()
	rec, err := powercut.Read(f, root, base)
	if err != nil {
		return nil, err
	}
	return rec, rec.Matches(root)
}
