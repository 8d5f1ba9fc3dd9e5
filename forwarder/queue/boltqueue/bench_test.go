package boltqueue

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

func openBench(b *testing.B) (q *Queue, commits *atomic.Int64) {
	b.Helper()
	commits = new(atomic.Int64)
	return mustOpen(b, Options{
		Path:     filepath.Join(b.TempDir(), "queue.db"),
		Settings: queue.Settings{DedupeWindow: time.Hour, HistoryRetention: time.Hour, DeadRetention: time.Hour},
		OnCommit: func(time.Duration, int) { commits.Add(1) },
	}), commits
}

// item is an event with a body of about 1.5 kB, and an id as they are: as good as
// random.
func item(i int) queue.Item {
	e := queuetest.Event(fmt.Sprintf("soapnoteapi-%x", sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))[:44], time.Now())
	e.Body = append(e.Body, make([]byte, 1300)...)
	return queue.Item{Event: e, Upstreams: []string{"ehr"}}
}

// storeFrom stores b.N events from several writers at once.
func storeFrom(b *testing.B, q *Queue, writers int) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > b.N {
					return
				}
				if _, err := q.Store(b.Context(), item(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkStore(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			q, commits := openBench(b)
			b.ResetTimer()
			storeFrom(b, q, writers)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/float64(commits.Load()), "events/commit")
		})
	}
}

// BenchmarkLifeCycle stores events and delivers them at the same time.
func BenchmarkLifeCycle(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			q, commits := openBench(b)
			woken := make(chan struct{}, 1)
			q.Notify(func(string) {
				select {
				case woken <- struct{}{}:
				default:
				}
			})
			b.ResetTimer()
			var wg sync.WaitGroup
			wg.Go(func() {
				for delivered := 0; delivered < b.N; {
					c, err := q.Claim("ehr", time.Now(), queue.Want{First: 32, Retry: 3})
					if err != nil {
						b.Error(err)
						return
					}
					if len(c.Deliveries) == 0 {
						<-woken
					}
					for _, d := range c.Deliveries {
						if _, err := q.Load(d); err != nil {
							b.Error(err)
							return
						}
						q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
					}
					delivered += len(c.Deliveries)
				}
			})
			storeFrom(b, q, writers)
			wg.Wait()
			flush(b, q)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/float64(commits.Load()), "events/commit")
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	ring, err := newKeyring([]Key{keyOf(1)})
	if err != nil {
		b.Fatal(err)
	}
	e := item(0).Event
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ring.seal(e); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(e.Body)))
}

// BenchmarkClaim claims 32 deliveries of many, opens what they deliver, and gives
// them back.
func BenchmarkClaim(b *testing.B) {
	q, _ := openBench(b)
	for i := range 1000 {
		if _, err := q.Store(b.Context(), item(i)); err != nil {
			b.Fatal(err)
		}
	}
	q.catchUp(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		c, err := q.Claim("ehr", time.Now(), queue.Want{First: 32})
		if err != nil || len(c.Deliveries) != 32 {
			b.Fatal(len(c.Deliveries), err)
		}
		for _, d := range c.Deliveries {
			if _, err := q.Load(d); err != nil {
				b.Fatal(err)
			}
			q.Release(d)
		}
	}
}
