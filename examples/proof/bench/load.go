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
	// answerLimit is how long the last answers may take after a volley's end.
	answerLimit = 20 * time.Second
	// magazineLimit is how long a volley may take that ends with its magazine.
	magazineLimit = 2 * time.Minute
	// holdStep is how often a connection that is held back looks again.
	holdStep = 200 * time.Microsecond
)

// A load is connections that send the requests of magazines.
type load struct {
	connections []connection
}

// A volley is one magazine's way out.
type volley struct {
	magazine *magazine
	lasts    time.Duration // 0 is until the magazine is empty
	// hold reports that nothing is to be sent for now; it may be nil.
	hold func() bool
	// count is read at the volley's beginning and at its end; it may be nil.
	count func() int64
}

// fire sends until the volley is over, and returns when every request that was
// sent has its answer.
func (l load) fire(ctx context.Context, s volley) (tally, error) {
	limit := magazineLimit
	if s.lasts > 0 {
		limit = s.lasts + answerLimit
	}
	for _, c := range l.connections {
		if err := errors.Join(c.until(time.Now().Add(limit)), c.arm(s.magazine)); err != nil {
			return tally{}, fmt.Errorf("getting a connection ready: %w", err)
		}
	}
	stopped := &atomic.Bool{}
	defer context.AfterFunc(ctx, func() { stopped.Store(true) })()

	parts := make([]part, len(l.connections))
	var senders sync.WaitGroup
	begin := time.Now()
	clock := newClock(s, begin)
	for i, c := range l.connections {
		p := &parts[i]
		*p = part{connection: c, volley: s, begin: begin, stopped: stopped, statuses: make(map[int]int)}
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

// A part is one connection's.
type part struct {
	connection connection
	volley     volley
	begin, end time.Time // end is zero where the magazine's is the volley's
	stopped    *atomic.Bool

	statuses   map[int]int
	duplicates int
	inTime     float64
	last       time.Time
	latencies  []time.Duration
	err        error
}

func (p *part) send() {
	for now := p.begin; p.end.IsZero() || now.Before(p.end); {
		if p.stopped.Load() {
			return
		}
		if p.volley.hold != nil && p.volley.hold() {
			time.Sleep(holdStep)
			now = time.Now()
			continue
		}
		next := p.volley.magazine.take()
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
		p.note(a, now, now.Sub(sent))
	}
}

// note takes in an answer. One that came after the end counts for the part of
// its time that was before, so that slow answers count right in a short volley.
func (p *part) note(a answer, at time.Time, took time.Duration) {
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

// failure is the first part's that failed: the others' are mostly the same.
func failure(parts []part) error {
	for i := range parts {
		if parts[i].err != nil {
			return parts[i].err
		}
	}
	return nil
}
