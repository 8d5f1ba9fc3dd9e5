package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// answerLimit is the maximum time for the last answers after the end of a phase.
	answerLimit = 20 * time.Second
	// batchLimit is the maximum time of a phase that ends when its batch is empty.
	batchLimit = 2 * time.Minute
	// holdStep is the interval at which a connection asks hold again.
	holdStep = 200 * time.Microsecond
)

// A load sends the requests of batches over its connections.
type load struct {
	connections []connection
}

// A phase is the sending of one batch.
type phase struct {
	batch *batch
	lasts time.Duration // 0: until the batch is empty
	// hold reports whether to send nothing for now; it may be nil.
	hold func() bool
	// count is called at the start and at the end of the phase; it may be nil.
	count func() int64
}

// run sends requests until the end of the phase, and returns when all of them are answered.
func (l load) run(ctx context.Context, s phase) (totals, error) {
	limit := batchLimit
	if s.lasts > 0 {
		limit = s.lasts + answerLimit
	}
	for _, c := range l.connections {
		if err := errors.Join(c.until(time.Now().Add(limit)), c.use(s.batch)); err != nil {
			return totals{}, fmt.Errorf("preparing a connection: %w", err)
		}
	}
	stopped := &atomic.Bool{}
	defer context.AfterFunc(ctx, func() { stopped.Store(true) })()

	parts := make([]worker, len(l.connections))
	var senders sync.WaitGroup
	begin := time.Now()
	clock := newClock(s, begin)
	for i, c := range l.connections {
		p := &parts[i]
		*p = worker{connection: c, phase: s, begin: begin, stopped: stopped, statuses: make(map[int]int)}
		if s.lasts > 0 {
			p.end = begin.Add(s.lasts)
		}
		senders.Go(p.send)
	}
	senders.Wait()
	t := join(parts)
	t.counted, t.countedFor = clock.stop()
	return t, errors.Join(context.Cause(ctx), failure(parts))
}

// A worker sends over one connection and counts the answers.
type worker struct {
	connection connection
	phase      phase
	begin, end time.Time // end is zero if the phase ends when the batch is empty
	stopped    *atomic.Bool

	statuses   map[int]int
	duplicates int
	inTime     float64
	last       time.Time
	latencies  []time.Duration
	err        error
}

func (p *worker) send() {
	for now := p.begin; p.end.IsZero() || now.Before(p.end); {
		if p.stopped.Load() {
			return
		}
		if p.phase.hold != nil && p.phase.hold() {
			time.Sleep(holdStep)
			now = time.Now()
			continue
		}
		next := p.phase.batch.take()
		if next == nil {
			return
		}
		a, err := p.connection.exchange(next)
		if err != nil {
			p.err = fmt.Errorf("sending a request: %w", err)
			return
		}
		sent := now
		now = time.Now()
		p.record(a, now, now.Sub(sent))
	}
}

// record counts an answer. An answer after the end of the phase counts in proportion to the part
// of its time before the end, so that slow answers count correctly in a short phase.
func (p *worker) record(a answer, at time.Time, took time.Duration) {
	p.statuses[a.status]++
	if a.duplicate {
		p.duplicates++
	}
	if late := at.Sub(p.end); p.end.IsZero() || late <= 0 {
		p.inTime++
	} else {
		p.inTime += max(0, float64(took-late)/float64(took))
	}
	p.latencies = append(p.latencies, took)
	p.last = at
}

// failure returns the first error of a worker: the errors of the others are usually the same.
func failure(parts []worker) error {
	for i := range parts {
		if parts[i].err != nil {
			return parts[i].err
		}
	}
	return nil
}
