package forwarder

import (
	"sync"
	"time"
)

// workerIdle is how long a goroutine is kept that has nothing to do.
const workerIdle = 5 * time.Second

// Workers run functions, each at once and on a goroutine that no other has
// meanwhile. The goroutines are kept for a while: sending a request takes a deep
// stack, which a new one would have to grow first. The zero Workers are not ready;
// NewWorkers makes them.
type Workers struct {
	idle   chan func()
	closed chan struct{}
	close  sync.Once
}

// NewWorkers makes Workers that have no goroutine yet.
func NewWorkers() *Workers {
	return &Workers{idle: make(chan func()), closed: make(chan struct{})}
}

// Close has no goroutine kept any more. Without it each ends a while after its
// last function.
func (w *Workers) Close() { w.close.Do(func() { close(w.closed) }) }

// Go has a function run, and does not wait for it.
func (w *Workers) Go(f func()) {
	select {
	case w.idle <- f:
	default:
		go w.work(f)
	}
}

func (w *Workers) work(f func()) {
	idle := time.NewTimer(workerIdle)
	defer idle.Stop()
	for {
		f()
		idle.Reset(workerIdle)
		select {
		case f = <-w.idle:
		case <-idle.C:
			return
		case <-w.closed:
			return
		}
	}
}
