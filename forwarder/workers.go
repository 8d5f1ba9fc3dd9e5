package forwarder

import (
	"sync"
	"time"
)

// workerIdle is how long an idle goroutine is kept.
const workerIdle = 5 * time.Second

// Workers run each function at once, on a goroutine of its own. Goroutines are kept
// for a while: sending a request needs a deep stack, which a new goroutine would have
// to grow first. Use NewWorkers; the zero value is not usable.
type Workers struct {
	idle   chan func()
	closed chan struct{}
	close  sync.Once
}

// NewWorkers returns Workers without goroutines.
func NewWorkers() *Workers {
	return &Workers{idle: make(chan func()), closed: make(chan struct{})}
}

// Close ends idle goroutines, and others after their function. Without it each ends a
// while after its last function.
func (w *Workers) Close() { w.close.Do(func() { close(w.closed) }) }

// Go runs a function, and does not wait for it.
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
