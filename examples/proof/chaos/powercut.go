package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/scribegate/scribegate/examples/proof/internal/powercut"
)

var powercutScenario = scenario{
	name: "powercut",
	text: "the power is cut, and what was not synced is gone, torn or out of order",
	run:  runPowercut,
}

// runPowercut records two gateways under strace and replays what a power cut
// would have left of their queues.
func runPowercut(ctx context.Context, e *env) (rows []result, err error) {
	strace, err := powercut.Strace()
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp(powercut.MemoryDir(e.dir), "scribegate-chaos-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the power cuts: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	random := rand.New(rand.NewPCG(rand.Uint64(), 0)) //nolint:gosec // no secret; what fails has its seed in the report

	starting, startErr := e.cutStarting(ctx, strace, random, scratch)
	loaded, loadErr := e.cutLoaded(ctx, strace, random, scratch)
	return append(starting, loaded...), errors.Join(startErr, loadErr)
}

// cutStarting cuts the power at every moment of a first start, which makes the
// automatic key and the file.
func (e *env) cutStarting(ctx context.Context, strace string, random *rand.Rand, scratch string) ([]result, error) {
	c, err := e.record(ctx, strace, recordingOf{events: e.pick(6, 24)})
	if err != nil {
		return nil, err
	}
	row, err := c.replay(ctx, e, "power cut at the first start", c.rec.Exhaust(e.pick(1, 20), random), scratch)
	return []result{row}, err
}

// cutLoaded cuts the power at some of the moments of a life with load, of which
// checkpoints are a part.
func (e *env) cutLoaded(ctx context.Context, strace string, random *rand.Rand, scratch string) ([]result, error) {
	c, err := e.record(ctx, strace, recordingOf{events: e.pick(360, 1200), compactions: e.pick(3, 12), withKey: true})
	if err != nil {
		return nil, err
	}
	if err := c.control(ctx, scratch); err != nil {
		return nil, err
	}
	row, err := c.replay(ctx, e, "power cut under load", c.rec.Sample(e.pick(800, 10_000), random), scratch)
	checkpoints := c.checkpoints()
	row.note += fmt.Sprintf(", %d checkpoints, %d compactions", checkpoints, c.compactions)
	if checkpoints < minCheckpoints {
		err = errors.Join(err, fmt.Errorf("only %d checkpoints are in the recording; record more events", checkpoints))
	}
	if err != nil {
		return []result{row}, err
	}
	twice, err := c.cutTwice(ctx, e, strace, random, scratch)
	return []result{row, twice}, err
}

// replay cuts the power and makes a row of what came of it.
func (c *recorded) replay(ctx context.Context, e *env, fault string, cuts []powercut.Cut, scratch string) (result, error) {
	began := time.Now()
	found, err := powercut.Replay(ctx, c.rec, &c.promise, cuts, nil, scratch)
	row := c.row
	row.fault, row.times, row.recovery = fault, found.Cuts, found.Slowest
	row.lost += found.Lost
	row.note = fmt.Sprintf("%s writes and %s syncs recorded", thousands(len(c.rec.Ops)), thousands(len(c.rec.Syncs)))
	e.say("powercut: %s: %s replayed in %s", fault, thousands(found.Cuts), time.Since(began).Round(time.Second))
	return row, errors.Join(err, failed(found))
}

// minCheckpoints is how many checkpoints a recording under load must have.
const minCheckpoints = 3

// checkpoints counts how often the main file was synced after the first answer:
// only a checkpoint does that.
func (c *recorded) checkpoints() (n int) {
	of := c.rec.SyncsOf(queueName)
	for _, s := range c.rec.Syncs {
		if of(s) && s.Start > c.rec.Answers[0].At {
			n++
		}
	}
	return n
}

// control cuts the power of disks that ignore syncs: all of them, those of the WAL,
// or those of the main file. Unless each loses events, nothing that a replay says is
// worth anything.
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
		return fmt.Errorf("%d of %d power cuts did harm and %d events were lost: the replay is blind", found.Failed, times, found.Lost)
	}
	return nil
}
