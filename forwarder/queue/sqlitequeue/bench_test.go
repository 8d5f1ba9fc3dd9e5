package sqlitequeue

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/verifier/event"
)

// BenchmarkStore stores events from several goroutines: into an empty store, behind a
// backlog, and while the events are delivered. Besides the wall time it reports the
// processor time of one event.
func BenchmarkStore(b *testing.B) {
	for _, writers := range []int{1, 32} {
		for _, backlog := range []int{0, 300_000} {
			for _, deliver := range []bool{false, true} {
				b.Run(fmt.Sprintf("writers=%d/backlog=%d/deliver=%v", writers, backlog, deliver), func(b *testing.B) {
					benchmarkStore(b, writers, backlog, deliver)
				})
			}
		}
	}
}

func benchmarkStore(b *testing.B, writers, backlog int, deliver bool) {
	var commits atomic.Int64
	q := mustOpen(b, Options{Path: filepath.Join(b.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), OnCommit: func(time.Duration, int) { commits.Add(1) }})
	var next atomic.Int64
	store(b, q, &next, 256, int64(backlog), "away")
	commits.Store(0)
	name := "ehr"
	delivered := make(chan struct{})
	if deliver {
		go func() {
			defer close(delivered)
			consume(b, q, name, b.N)
		}()
	} else {
		close(delivered)
	}
	start := processorTime()
	b.ResetTimer()
	store(b, q, &next, writers, int64(b.N), name)
	<-delivered
	b.ReportMetric(float64((processorTime()-start).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/float64(commits.Load()), "op/commit")
}

// BenchmarkDrain delivers a backlog.
func BenchmarkDrain(b *testing.B) {
	q := mustOpen(b, Options{Path: filepath.Join(b.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	var next atomic.Int64
	store(b, q, &next, 256, int64(b.N), "ehr")
	start := processorTime()
	b.ResetTimer()
	consume(b, q, "ehr", b.N)
	b.ReportMetric(float64((processorTime()-start).Microseconds())/float64(b.N), "cpu-µs/op")
}

// store stores n events for an upstream.
func store(b *testing.B, q *Queue, next *atomic.Int64, writers int, n int64, upstream string) {
	b.Helper()
	var left atomic.Int64
	left.Store(n)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				_, err := q.Store(context.Background(), queue.Item{Event: benchEvent(next.Add(1)), Upstreams: []string{upstream}})
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func benchEvent(n int64) *event.Event {
	e := queuetest.Event(fmt.Sprintf("soapnoteapi-%032x", uint64(n)*0x9e3779b97f4a7c15), time.Now())
	e.Body = append(e.Body[:len(e.Body)-1:len(e.Body)-1], append(bytes.Repeat([]byte(" "), 1400), '}')...)
	return e
}

// consume delivers n events, 32 at a time.
func consume(b *testing.B, q *Queue, upstream string, n int) {
	b.Helper()
	woken := make(chan struct{}, 1)
	q.Notify(func(string) {
		select {
		case woken <- struct{}{}:
		default:
		}
	})
	for n > 0 {
		c, err := q.Claim(upstream, time.Now(), queue.Want{First: 32})
		if err != nil {
			b.Error(err)
			return
		}
		for _, d := range c.Deliveries {
			if _, err := q.Load(d); err != nil {
				b.Error(err)
			}
			q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
		}
		n -= len(c.Deliveries)
		if len(c.Deliveries) == 0 {
			<-woken
		}
	}
	if err := q.writer.Flush(context.Background()); err != nil {
		b.Error(err)
	}
}

func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
