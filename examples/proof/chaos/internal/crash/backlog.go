package crash

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/proof/internal/pagecache"
)

// Backlog kills the gateway with a large backlog.
var Backlog = scenario.Scenario{
	Name: "backlog",
	Text: "kill -9 with a large backlog, and a start with the queue's file not in the page cache",
	Run:  runBacklog,
}

// backlogMemory is the maximum growth of anonymous memory with any backlog.
const backlogMemory = 64 << 20

// runBacklog fills the queue while the upstream is down, kills the gateway, and measures how soon the
// next one accepts and delivers.
func runBacklog(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	number := e.Pick(20_000, 1_000_000)
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	text := r.Caddyfile(gateway.Options{Upstream: map[string]string{"ehr": "concurrency 64"}})
	if err := r.Start(ctx, text); err != nil {
		return nil, err
	}
	b, ehr := ledger.NewBook(), r.Ledger.Backend("ehr")

	// First some deliveries, for the memory that the gateway needs without a backlog.
	warm := r.Fleet()
	warm.Senders, warm.Limit = 64, 5000
	warm.Start(ctx, b).Done()
	if row, err := r.Settle(ctx, b, await.Patience); err != nil || row.Lost > 0 {
		return nil, errors.Join(fmt.Errorf("warming up: %d of %d events were not delivered", row.Lost, row.Acknowledged), err)
	}
	before, err := r.Memory()
	if err != nil {
		return nil, err
	}

	ehr.Stop()
	began := time.Now()
	full := warm
	full.Limit = number
	l := full.Start(ctx, b)
	if err := progress(ctx, e, l, b, number); err != nil {
		return nil, err
	}
	took := time.Since(began)
	with, err := r.Memory()
	if err != nil {
		return nil, err
	}
	e.Logf("  %d waiting after %.0f s", number, took.Seconds())

	// Kill the gateway while it accepts events.
	live := r.Fleet()
	live.Senders, live.Rate, live.Again = 4, 200, true
	l = live.Start(ctx, b)
	defer l.Stop()
	time.Sleep(300 * time.Millisecond)
	if err := r.Kill(); err != nil {
		return nil, err
	}
	for _, file := range []string{r.QueueFile(), r.WALFile()} {
		resident, err := pagecache.Drop(file)
		if err != nil {
			return nil, err
		}
		if resident > 0.05 {
			return nil, fmt.Errorf("%.0f %% of %s is still in the page cache; set a directory on a disk with -dir", 100*resident, filepath.Base(file))
		}
	}
	size, err := r.FileSize()
	if err != nil {
		return nil, err
	}
	if err := ehr.Start(ctx); err != nil {
		return nil, err
	}
	s, err := startCold(ctx, r, text, b, live)
	if err != nil {
		return nil, err
	}
	e.Logf("  cold start: accepted after %.2f s, delivered after %.2f s", s.accepted.Seconds(), s.delivered.Seconds())
	b.SlowestSince()
	if err := drain(ctx, r, e, b); err != nil {
		return nil, err
	}
	slowest := b.SlowestSince()
	l.Stop()
	row, err := r.Settle(ctx, b, time.Minute)
	row.Fault = fmt.Sprintf("kill -9 with %s waiting, cold cache", table.Thousands(number))
	row.Times, row.Recovery = 1, s.delivered
	row.Note = fmt.Sprintf("file %s; from the start to listening %.2f s, first accepted %.2f s; memory without backlog %s, with it %s, after the cold start %s; filled at %.0f/s, slowest accept while draining %.2f s",
		table.Mebibytes(size), s.listening.Seconds(), s.accepted.Seconds(), table.Mebibytes(before), table.Mebibytes(with), table.Mebibytes(s.memory),
		float64(number)/took.Seconds(), slowest.Seconds())
	return []table.Row{row}, errors.Join(err, s.verdict(before, with))
}

// progress waits until a load with a limit has ended, and logs its progress.
func progress(ctx context.Context, e *scenario.Env, l *load.Load, b *ledger.Book, number int) error {
	done := make(chan struct{})
	go func() {
		l.Done()
		close(done)
	}()
	tick := time.NewTicker(30 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			if ctx.Err() != nil {
				return fmt.Errorf("filling the queue: %w", context.Cause(ctx))
			}
			// A few requests may fail.
			if n := b.Events(); n < number*99/100 {
				return fmt.Errorf("filling the queue: only %d of %d events were acknowledged; %s", n, number, b.Others())
			}
			return nil
		case <-tick.C:
			e.Logf("  %d acknowledged", b.Events())
		}
	}
}

// A coldStart has times after the start of a process.
type coldStart struct {
	listening, accepted, delivered time.Duration
	memory                         int64 // at the end
}

// verdict returns an error if the start took too long, or if the memory has grown too much with the
// backlog.
func (s coldStart) verdict(before, with int64) error {
	if s.accepted > scenario.PromisedRecovery || s.delivered > scenario.PromisedRecovery {
		return fmt.Errorf("after a cold start the gateway accepted after %.2f s and delivered after %.2f s; %s is promised", s.accepted.Seconds(), s.delivered.Seconds(), scenario.PromisedRecovery)
	}
	if most := max(with, s.memory); most > before+backlogMemory {
		return fmt.Errorf("anonymous memory grew with the backlog: %s without it, %s with it", table.Mebibytes(before), table.Mebibytes(most))
	}
	return nil
}

// startCold starts the gateway, and measures the time until it accepts and delivers.
func startCold(ctx context.Context, r *gateway.Rig, text string, b *ledger.Book, f load.Fleet) (s coldStart, err error) {
	w := r.Ledger.Watch(b)
	defer w.End()
	if err := r.Launch(text); err != nil {
		return s, err
	}
	if s.listening, err = r.Listening(ctx); err != nil {
		return s, err
	}
	c := f.Connect()
	defer c.Close()
	answer, outcome := f.Send(ctx, c, f.Post("cold", false))
	if !load.Acknowledged(answer) {
		return s, fmt.Errorf("sending the first event after the start: %s", outcome)
	}
	s.accepted = time.Since(r.Proc.Began)
	b.Acknowledge(answer.ID, nil, answer.Duplicate, 0)
	if s.delivered, err = r.After(ctx, w.First, "the first delivery of an event that waited"); err != nil {
		return s, err
	}
	s.memory, err = r.Memory()
	return s, err
}

// drain waits until almost no event waits, while the senders continue.
func drain(ctx context.Context, r *gateway.Rig, e *scenario.Env, b *ledger.Book) error {
	ehr := r.Ledger.Backend("ehr")
	least, since, reported := math.MaxInt, time.Now(), time.Now()
	for {
		left := b.Events() - ehr.Events()
		if left < 200 {
			return nil
		}
		if left < least {
			least, since = left, time.Now()
		}
		if time.Since(since) > time.Minute {
			return fmt.Errorf("draining: %d events wait, and no fewer since %s", left, since.Format(time.TimeOnly))
		}
		if time.Since(reported) > 30*time.Second {
			reported = time.Now()
			e.Logf("  %d left", left)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.Proc.Ended:
			return errors.New("draining: the gateway ended")
		case <-ctx.Done():
			return fmt.Errorf("draining: %w", context.Cause(ctx))
		}
	}
}
