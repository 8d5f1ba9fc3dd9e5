package boltqueue

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestTmpFreelist(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.Settings{DedupeWindow: time.Hour, HistoryRetention: time.Millisecond, DeadRetention: time.Hour}}
	q := mustOpen(t, o)
	const n = 150000
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 128 {
		wg.Go(func() {
			for {
				i := int(next.Add(1))
				if i > n {
					return
				}
				if _, err := q.Store(t.Context(), item(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	report := func(what string) {
		s := q.file.db.Stats()
		info, _ := os.Stat(path)
		fmt.Println(what, "free", s.FreePageN, "nosync", q.file.db.NoFreelistSync, "size MB", info.Size()>>20)
		start := time.Now()
		for i := range 50 {
			if _, err := q.Store(t.Context(), item(n+int(next.Add(1))+i*0)); err != nil {
				t.Error(err)
			}
		}
		fmt.Println("  one store takes", time.Since(start)/50)
		start = time.Now()
		_ = q.Close()
		q = mustOpen(t, o)
		fmt.Println("  open takes", time.Since(start))
	}
	report("full")
	for _, d := range claim(t, q, "ehr", n/2) {
		q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
	}
	flush(t, q)
	sweep(t, q)
	report("half")
	for _, d := range claim(t, q, "ehr", n-2000) {
		q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
	}
	flush(t, q)
	sweep(t, q)
	report("drained")
}
