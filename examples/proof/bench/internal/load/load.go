package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// A Generator is a load generator: it sends the requests of batches over its connections.
type Generator struct {
	connections []connection
}

// Close closes the connections. No request may be in flight.
func (l Generator) Close() {
	for _, c := range l.connections {
		c.close()
	}
}

// And returns a load generator with the connections of both.
func (l Generator) And(other Generator) Generator {
	return Generator{connections: slices.Concat(l.connections, other.connections)}
}

// A Phase is the sending of one batch.
type Phase struct {
	Batch *batch
	Lasts time.Duration // 0: until the batch is empty
	// hold reports whether to send nothing for now; it may be nil.
	Hold func() bool
	// count is called at the start and at the end of the phase; it may be nil.
	Count func() int64
}

// Run sends requests until the end of the phase, and returns when all of them are answered.
func (l Generator) Run(ctx context.Context, s Phase) (Totals, error) {
	limit := batchLimit
	if s.Lasts > 0 {
		limit = s.Lasts + answerLimit
	}
	for _, c := range l.connections {
		if err := errors.Join(c.until(time.Now().Add(limit)), c.use(s.Batch)); err != nil {
			return Totals{}, fmt.Errorf("preparing a connection: %w", err)
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
		if s.Lasts > 0 {
			p.end = begin.Add(s.Lasts)
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
	phase      Phase
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
		if p.phase.Hold != nil && p.phase.Hold() {
			time.Sleep(holdStep)
			now = time.Now()
			continue
		}
		next := p.phase.Batch.take()
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
