package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/examples/proof/internal/pagecache"
)

var backlogScenario = scenario{
	name: "backlog",
	text: "kill -9 with a large backlog, and a start with the queue's file not in the page cache",
	run:  runBacklog,
}

// backlogMemory is the maximum growth of anonymous memory with any backlog.
const backlogMemory = 64 << 20

// runBacklog fills the queue while the upstream is down, kills the gateway, and measures how soon the
// next one accepts and delivers.
func runBacklog(ctx context.Context, e *env) (rows []result, err error) {
	number := e.pick(20_000, 1_000_000)
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	text := r.caddyfile(options{upstream: map[string]string{"ehr": "concurrency 64"}})
	if err := r.start(ctx, text); err != nil {
		return nil, err
	}
	b, ehr := newBook(), r.ledger.backend("ehr")

	// First some deliveries, for the memory that the gateway needs without a backlog.
	warm := r.fleet()
	warm.senders, warm.limit = 64, 5000
	warm.start(ctx, b).done()
	if row, err := r.settle(ctx, b, patience); err != nil || row.lost > 0 {
		return nil, errors.Join(fmt.Errorf("warming up: %d of %d events were not delivered", row.lost, row.acknowledged), err)
	}
	before, err := r.memory()
	if err != nil {
		return nil, err
	}

	ehr.stop()
	began := time.Now()
	full := warm
	full.limit = number
	l := full.start(ctx, b)
	if err := e.progress(ctx, l, b, number); err != nil {
		return nil, err
	}
	took := time.Since(began)
	with, err := r.memory()
	if err != nil {
		return nil, err
	}
	e.logf("  %d waiting after %.0f s", number, took.Seconds())

	// Kill the gateway while it accepts events.
	live := r.fleet()
	live.senders, live.rate, live.again = 4, 200, true
	l = live.start(ctx, b)
	defer l.stop()
	time.Sleep(300 * time.Millisecond)
	if err := r.kill(); err != nil {
		return nil, err
	}
	for _, file := range []string{r.queueFile(), r.walFile()} {
		resident, err := pagecache.Drop(file)
		if err != nil {
			return nil, err
		}
		if resident > 0.05 {
			return nil, fmt.Errorf("%.0f %% of %s is still in the page cache; set a directory on a disk with -dir", 100*resident, filepath.Base(file))
		}
	}
	size, err := r.fileSize()
	if err != nil {
		return nil, err
	}
	if err := ehr.start(ctx); err != nil {
		return nil, err
	}
	s, err := r.coldStart(ctx, text, b, live)
	if err != nil {
		return nil, err
	}
	e.logf("  cold start: accepted after %.2f s, delivered after %.2f s", s.accepted.Seconds(), s.delivered.Seconds())
	b.slowestSince()
	if err := r.drain(ctx, e, b); err != nil {
		return nil, err
	}
	slowest := b.slowestSince()
	l.stop()
	row, err := r.settle(ctx, b, time.Minute)
	row.fault = fmt.Sprintf("kill -9 with %s waiting, cold cache", thousands(number))
	row.times, row.recovery = 1, s.delivered
	row.note = fmt.Sprintf("file %s; from the start to listening %.2f s, first accepted %.2f s; memory without backlog %s, with it %s, after the cold start %s; filled at %.0f/s, slowest accept while draining %.2f s",
		mebibytes(size), s.listening.Seconds(), s.accepted.Seconds(), mebibytes(before), mebibytes(with), mebibytes(s.memory),
		float64(number)/took.Seconds(), slowest.Seconds())
	return []result{row}, errors.Join(err, s.verdict(before, with))
}

// progress waits until a load with a limit has ended, and logs its progress.
func (e *env) progress(ctx context.Context, l *load, b *book, number int) error {
	done := make(chan struct{})
	go func() {
		l.done()
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
			if n := b.events(); n < number*99/100 {
				return fmt.Errorf("filling the queue: only %d of %d events were acknowledged; %s", n, number, b.others())
			}
			return nil
		case <-tick.C:
			e.logf("  %d acknowledged", b.events())
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
	if s.accepted > promisedRecovery || s.delivered > promisedRecovery {
		return fmt.Errorf("after a cold start the gateway accepted after %.2f s and delivered after %.2f s; %s is promised", s.accepted.Seconds(), s.delivered.Seconds(), promisedRecovery)
	}
	if most := max(with, s.memory); most > before+backlogMemory {
		return fmt.Errorf("anonymous memory grew with the backlog: %s without it, %s with it", mebibytes(before), mebibytes(most))
	}
	return nil
}

func (r *rig) coldStart(ctx context.Context, text string, b *book, f fleet) (s coldStart, err error) {
	w := r.ledger.watch(b)
	defer w.end()
	if err := r.launch(text); err != nil {
		return s, err
	}
	if s.listening, err = r.listening(ctx); err != nil {
		return s, err
	}
	c := f.connect()
	defer c.close()
	answer, outcome := f.send(ctx, c, f.post("cold", false))
	if !acknowledged(answer) {
		return s, fmt.Errorf("sending the first event after the start: %s", outcome)
	}
	s.accepted = time.Since(r.proc.began)
	b.acknowledge(answer.ID, nil, answer.Duplicate, 0)
	if s.delivered, err = r.after(ctx, w.first, "the first delivery of an event that waited"); err != nil {
		return s, err
	}
	s.memory, err = r.memory()
	return s, err
}

// drain waits until almost no event waits, while the senders continue.
func (r *rig) drain(ctx context.Context, e *env, b *book) error {
	ehr := r.ledger.backend("ehr")
	least, since, reported := math.MaxInt, time.Now(), time.Now()
	for {
		left := b.events() - ehr.events()
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
			e.logf("  %d left", left)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-r.proc.ended:
			return errors.New("draining: the gateway ended")
		case <-ctx.Done():
			return fmt.Errorf("draining: %w", context.Cause(ctx))
		}
	}
}
