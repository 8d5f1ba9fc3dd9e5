package power

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/proof/internal/powercut"
)

// Scenario replays power cuts.
var Scenario = scenario.Scenario{
	Name: "powercut",
	Text: "power cuts after which data that was not synced is lost, torn or out of order",
	Run:  runPowercut,
}

// runPowercut records two gateways with strace, and opens their queues in the states that power cuts can leave.
func runPowercut(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	strace, err := powercut.Strace()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp(powercut.MemoryDir(e.Dir), "scribegate-chaos-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the power cuts: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	random := rand.New(rand.NewPCG(rand.Uint64(), 0)) //nolint:gosec // no secret; a failure reports its seed

	starting, startErr := cutStarting(ctx, e, strace, random, scratch)
	loaded, loadErr := cutLoaded(ctx, e, strace, random, scratch)
	return append(starting, loaded...), errors.Join(startErr, loadErr)
}

// cutStarting cuts the power at every moment of a first start, which makes the key and the file.
func cutStarting(ctx context.Context, e *scenario.Env, strace string, random *rand.Rand, scratch string) ([]table.Row, error) {
	c, err := record(ctx, e, strace, recordingOf{events: e.Pick(6, 24)})
	if err != nil {
		return nil, err
	}
	row, err := c.replay(ctx, e, "power cut at the first start", c.rec.Exhaust(e.Pick(1, 20), random), scratch)
	return []table.Row{row}, err
}

// cutLoaded cuts the power at random moments under load, including checkpoints.
func cutLoaded(ctx context.Context, e *scenario.Env, strace string, random *rand.Rand, scratch string) ([]table.Row, error) {
	c, err := record(ctx, e, strace, recordingOf{events: e.Pick(360, 1200), compactions: e.Pick(3, 12), withKey: true})
	if err != nil {
		return nil, err
	}
	if err := c.control(ctx, scratch); err != nil {
		return nil, err
	}
	row, err := c.replay(ctx, e, "power cut under load", c.rec.Sample(e.Pick(800, 10_000), random), scratch)
	checkpoints := c.checkpoints()
	row.Note += fmt.Sprintf(", %d checkpoints, %d compactions", checkpoints, c.compactions)
	if checkpoints < minCheckpoints {
		err = errors.Join(err, fmt.Errorf("the recording has only %d checkpoints; record more events", checkpoints))
	}
	if err != nil {
		return []table.Row{row}, err
	}
	twice, err := c.cutTwice(ctx, e, strace, random, scratch)
	return []table.Row{row, twice}, err
}

// replay replays power cuts and returns a row with the result.
func (c *recorded) replay(ctx context.Context, e *scenario.Env, fault string, cuts []powercut.Cut, scratch string) (table.Row, error) {
	began := time.Now()
	found, err := powercut.Replay(ctx, c.rec, &c.promise, cuts, nil, scratch)
	row := c.row
	row.Fault, row.Times, row.Recovery = fault, found.Cuts, found.Slowest
	row.Lost += found.Lost
	row.Note = fmt.Sprintf("%s writes and %s syncs recorded", table.Thousands(len(c.rec.Ops)), table.Thousands(len(c.rec.Syncs)))
	e.Logf("powercut: %s: %s replayed in %s", fault, table.Thousands(found.Cuts), time.Since(began).Round(time.Second))
	return row, errors.Join(err, failed(found))
}

// minCheckpoints is the minimum number of checkpoints in a recording under load.
const minCheckpoints = 3

// checkpoints returns the number of syncs of the main file after the first answer: only a checkpoint syncs it.
func (c *recorded) checkpoints() (n int) {
	of := c.rec.SyncsOf(queueName)
	for _, s := range c.rec.Syncs {
		if of(s) && s.Start > c.rec.Answers[0].At {
			n++
		}
	}
	return n
}

// control replays power cuts of disks that ignore syncs: all of them, those of the WAL, or those of the main file.
// It returns an error unless each of them loses events: then the replay would prove nothing.
func (c *recorded) control(ctx context.Context, scratch string) error {
	for _, disk := range []struct {
		ignores string
		ignored func(powercut.Sync) bool
	}{
		{"every sync", func(powercut.Sync) bool { return true }},
		{"every sync of the WAL", c.rec.SyncsOf(queueName + "-wal")},
		{"every sync of the main file", c.rec.SyncsOf(queueName)},
	} {
		if err := c.controlWith(ctx, scratch, disk.ignored); err != nil {
			return fmt.Errorf("on a disk that ignores %s: %w", disk.ignores, err)
		}
	}
	return nil
}

func (c *recorded) controlWith(ctx context.Context, scratch string, ignored func(powercut.Sync) bool) error {
	const times = 8
	answers := c.rec.Answers
	if len(answers) == 0 {
		return errors.New("nothing was acknowledged, so nothing could be lost")
	}
	var cuts []powercut.Cut
	for i := range times {
		at := answers[i*(len(answers)-1)/(times-1)].At
		cuts = append(cuts, powercut.Cut{At: at, Manner: powercut.Nothing})
	}
	counts := func(s powercut.Sync) bool { return !ignored(s) }
	found, err := powercut.Replay(ctx, c.rec, &c.promise, cuts, counts, scratch)
	if err != nil {
		return err
	}
	if found.Failed < times/2 || found.Lost == 0 {
		return fmt.Errorf("%d of %d power cuts failed and %d events were lost: the replay does not detect losses", found.Failed, times, found.Lost)
	}
	return nil
}
