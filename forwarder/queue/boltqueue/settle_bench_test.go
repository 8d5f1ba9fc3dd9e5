package boltqueue

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// BenchmarkSettle delivers a backlog of as many events as there are rounds: in
// the order of arrival and in any other, many outcomes in a commit and one.
func BenchmarkSettle(b *testing.B) {
	for _, order := range []string{"in order", "scattered"} {
		for _, together := range []int{256, 1} {
			b.Run(fmt.Sprintf("%s, %d in a commit", order, together), func(b *testing.B) {
				q, commits := openBench(b)
				fill(b, q, b.N, func(int) map[string]queue.State { return map[string]queue.State{"ehr": queue.Pending} })
				places := make([]int, b.N)
				for i := range places {
					places[i] = i
				}
				if order == "scattered" {
					places = rand.New(rand.NewPCG(1, 2)).Perm(b.N)
				}
				before := commits.Load()
				b.ResetTimer()
				for i, p := range places {
					q.Settle(queue.Outcome{
						Delivery: queue.Delivery{Seq: uint64(p + 1), EventID: fmt.Sprintf("soapnoteapi-%032d", p), Upstream: "ehr"},
						At:       time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true,
					})
					if (i+1)%together == 0 {
						idle(b, q)
					}
				}
				flush(b, q)
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(float64(b.N)/float64(commits.Load()-before), "events/commit")
			})
		}
	}
}
