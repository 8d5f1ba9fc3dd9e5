package forwarder

import (
	"testing"
	"testing/synctest"
	"time"
)

// Every function has a goroutine of its own while it runs. For a while after its end, the next
// function runs on the same goroutine.
func TestWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers()
		release := make(chan struct{})
		var running [8]bool
		for round := range 3 {
			for i := range running {
				w.Go(func() {
					running[i] = true
					<-release
					running[i] = false
				})
			}
			synctest.Wait()
			for i, is := range running {
				if !is {
					t.Fatalf("in round %d function %d waits for another", round, i)
				}
			}
			for range running {
				release <- struct{}{}
			}
			synctest.Wait()
		}
		time.Sleep(2 * workerIdle)
		synctest.Wait() // and the bubble ends with no goroutine left
	})
}

// Once closed, no goroutine is kept.
func TestWorkersClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := NewWorkers()
		release, ended := make(chan struct{}), 0
		for range 3 {
			w.Go(func() { <-release; ended++ })
			release <- struct{}{}
			synctest.Wait()
		}
		w.Close()
		w.Go(func() { ended++ })
		synctest.Wait() // and the bubble ends with no goroutine left
		if ended != 4 {
			t.Errorf("%d functions were run, want 4", ended)
		}
	})
}
