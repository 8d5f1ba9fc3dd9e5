package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Compact kills the gateway while it compacts its file.
var Compact = scenario.Scenario{
	Name: "compact",
	Text: "the file is compacted under load, with kill -9 at random moments of a compaction",
	Run:  runCompact,
}

// maxCompactionDelay is the maximum time of an answer during a compaction: the promised second, and a reserve
// for a busy machine.
const maxCompactionDelay = 2 * time.Second

// A compaction is a gateway with a large queue file, under load.
type compaction struct {
	rig  *gateway.Rig
	book *ledger.Book
	text string
}

func runCompact(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	c := compaction{rig: r, book: ledger.NewBook(), text: r.Caddyfile(gateway.Options{Upstream: map[string]string{"ehr": "concurrency 64"}})}
	if err := r.Start(ctx, c.text); err != nil {
		return nil, err
	}
	number := e.Pick(12_000, 300_000)
	grown, err := c.grow(ctx, e, number)
	if err != nil {
		return nil, err
	}
	live := r.Fleet()
	live.Senders, live.Rate, live.Again = 8, 200, true
	l := live.Start(ctx, c.book)
	defer l.Stop()

	// Half of the backlog still waits.
	first, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.Logf("  half drained: %s", first)
	times := e.Pick(6, 50)
	kills, err := c.kill(ctx, times, number/4/times, first.took)
	if err != nil {
		return nil, err
	}
	e.Logf("  %s", kills)
	if err := r.Ledger.Backend("ehr").Start(ctx); err != nil {
		return nil, err
	}
	if err := drain(ctx, r, e, c.book); err != nil {
		return nil, err
	}
	second, err := c.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.Logf("  drained: %s", second)
	l.Stop()
	row, err := r.Settle(ctx, c.book, time.Minute)
	if err != nil {
		return nil, err
	}
	row.Fault, row.Times, row.Recovery = "kill -9 while the file is compacted", kills.times, kills.recovery
	row.Note = fmt.Sprintf("the backlog grew the file to %s; half drained: %s; drained: %s; %s; %s", table.Mebibytes(grown), first, second, kills, c.book.Others())
	return []table.Row{row}, errors.Join(kills.verdict(), first.verdict(), second.verdict(), shrunk(grown, second.size.After))
}

// grow makes a backlog of long notes, and then delivers half of it. It returns the largest size of the
// file.
func (c compaction) grow(ctx context.Context, e *scenario.Env, number int) (size int64, err error) {
	ehr := c.rig.Ledger.Backend("ehr")
	ehr.Stop()
	f := c.rig.Fleet()
	f.Senders, f.Limit, f.Padding = 64, number, 12<<10
	if err := progress(ctx, e, f.Start(ctx, c.book), c.book, number); err != nil {
		return 0, err
	}
	if size, err = c.rig.FileSize(); err != nil {
		return 0, err
	}
	e.Logf("  %d waiting in %s", number, table.Mebibytes(size))
	if err := ehr.Start(ctx); err != nil {
		return 0, err
	}
	for ehr.Events() < number/2 {
		if err := await.Sleep(ctx, 20*time.Millisecond); err != nil {
			return 0, fmt.Errorf("draining half of the backlog: %w", err)
		}
	}
	ehr.Stop()
	return size, nil
}

// A measurement has the times of answers before and during a compaction.
type measurement struct {
	size           gateway.Compacted
	took           time.Duration
	before, during time.Duration // the slowest answers
}

func (m measurement) String() string {
	return fmt.Sprintf("%s to %s in %.2f s, slowest accept %.0f ms (%.0f ms before)",
		table.Mebibytes(m.size.Before), table.Mebibytes(m.size.After), m.took.Seconds(), 1e3*m.during.Seconds(), 1e3*m.before.Seconds())
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
		return fmt.Errorf("the backlog grew the file to %s; after its delivery and a compaction it still has %s", table.Mebibytes(grown), table.Mebibytes(after))
	}
	return nil
}

func (c compaction) measure(ctx context.Context) (m measurement, err error) {
	c.book.SlowestSince()
	time.Sleep(2 * time.Second)
	m.before = c.book.SlowestSince()
	began := time.Now()
	if m.size, err = c.rig.Compact(ctx); err != nil {
		return m, err
	}
	m.took = time.Since(began)
	time.Sleep(300 * time.Millisecond) // for an answer that was delayed at the end
	m.during = c.book.SlowestSince()
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
	if k.recovery > scenario.PromisedRecovery {
		return fmt.Errorf("delivery resumed only %.2f s after a start; %s is promised", k.recovery.Seconds(), scenario.PromisedRecovery)
	}
	return nil
}

// kill kills the gateway at random moments of compactions. Before each of them some events are
// delivered, so that there is free space. took is the maximum duration of a compaction.
func (c compaction) kill(ctx context.Context, times, some int, took time.Duration) (k kills, err error) {
	ehr := c.rig.Ledger.Backend("ehr")
	for k.times < times {
		if err := c.deliver(ctx, ehr, some); err != nil {
			return k, err
		}
		done := make(chan error, 1)
		go func() {
			_, err := c.rig.Compact(ctx)
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil {
				return k, err
			}
			took /= 2
		case <-time.After(scenario.Random(took)):
			k.within++
		}
		k.times++
		if err := c.rig.Kill(); err != nil {
			return k, err
		}
		w := c.rig.Ledger.Watch(c.book)
		recovery, err := c.restart(ctx, ehr, w)
		w.End()
		if err != nil {
			return k, err
		}
		k.recovery = max(k.recovery, recovery)
	}
	return k, nil
}

// deliver delivers some of the waiting events.
func (c compaction) deliver(ctx context.Context, ehr *ledger.Backend, some int) error {
	if err := ehr.Start(ctx); err != nil {
		return err
	}
	defer ehr.Stop()
	for until := ehr.Events() + some; ehr.Events() < until; {
		if err := await.Sleep(ctx, time.Millisecond); err != nil {
			return fmt.Errorf("delivering some waiting events: %w", err)
		}
	}
	return nil
}

// restart starts the gateway and waits for the first delivery of a waiting event.
func (c compaction) restart(ctx context.Context, ehr *ledger.Backend, w *ledger.Watch) (time.Duration, error) {
	if err := ehr.Start(ctx); err != nil {
		return 0, err
	}
	defer ehr.Stop() // keep waiting events for the other kills
	if err := c.rig.Start(ctx, c.text); err != nil {
		return 0, err
	}
	recovery, err := c.rig.After(ctx, w.First, "the first delivery of an event that waited")
	if err != nil {
		return 0, err
	}
	return recovery, c.rig.OnlyStore()
}
