package logging

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// maxLines and maxBytes limit the lines that wait for a log. Further lines are
	// dropped.
	maxLines = 4 << 10
	maxBytes = 4 << 20
)

// flushTimeout is how long the end of a configuration waits for a log.
const flushTimeout = time.Second

// A queue holds lines until they are written. Its goroutine runs only while lines
// wait.
type queue struct {
	dropped func(n int) // writes a line with the number of dropped lines

	began atomic.Int64 // when the present write began; 0 if there is none

	mu      sync.Mutex
	waiting []line
	lines   int // waiting, and those that are being written
	bytes   int
	missed  int           // lines dropped after the last waiting line
	writing bool          // the goroutine runs
	idle    chan struct{} // closed when it ends; nil if nothing waits for that

	failed int // lines that could not be written; used by the goroutine only
}

// A line waits in a queue.
type line struct {
	write  func()
	size   int
	missed int // how many lines were dropped just before this one
}

// newQueue returns a queue that logs a message with the number of lines that it dropped.
func newQueue(logger func() *zap.Logger, level zapcore.Level, message string) *queue {
	q := new(queue)
	q.dropped = func(n int) {
		logger().WithOptions(zap.ErrorOutput(failureCounter{q})).Log(level, message, zap.Int("dropped", n))
	}
	return q
}

// wrap returns a logger whose lines go through the queue.
func (q *queue) wrap(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return queuedCore{core, q} }))
}

// add queues a line, or drops it. After the first dropped line it drops all of them until
// half of the waiting lines are written: otherwise every other line would be about dropped
// lines.
func (q *queue) add(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := 1
	if q.missed > 0 {
		room = 2
	}
	if q.lines >= maxLines/room || q.bytes+l.size > maxBytes/room {
		q.missed++
		return
	}
	l.missed, q.missed = q.missed, 0
	q.waiting = append(q.waiting, l)
	q.lines++
	q.bytes += l.size
	if !q.writing {
		q.writing = true
		go q.write()
	}
}

// write writes the waiting lines, and ends when there are none.
func (q *queue) write() {
	var batch []line
	for {
		q.mu.Lock()
		batch, q.waiting = q.waiting, batch[:0]
		missed := 0
		if len(batch) == 0 {
			if missed, q.missed = q.missed, 0; missed == 0 {
				q.end()
				q.mu.Unlock()
				return
			}
		}
		q.mu.Unlock()
		q.account(missed)
		for i, l := range batch {
			q.account(l.missed)
			q.began.Store(time.Now().UnixNano())
			l.write()
			q.began.Store(0)
			batch[i] = line{}
			q.mu.Lock()
			q.lines--
			q.bytes -= l.size
			q.mu.Unlock()
		}
	}
}

// end marks the queue as idle. q.mu is held.
func (q *queue) end() {
	q.writing = false
	q.waiting = nil
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// account logs how many lines were dropped or could not be written, if any.
func (q *queue) account(missed int) {
	missed += q.failed
	if missed == 0 {
		return
	}
	q.failed = 0
	q.began.Store(time.Now().UnixNano())
	q.dropped(missed)
	q.began.Store(0)
	if q.failed > 0 {
		q.failed = missed // this line could not be written either
	}
}

// stuckFor returns how long the present write has taken so far.
func (q *queue) stuckFor() time.Duration {
	began := q.began.Load()
	if began == 0 {
		return 0
	}
	return time.Since(time.Unix(0, began))
}

// flush waits until all lines are written, for flushTimeout at most. It does not wait for
// a line that has taken so long already.
func (q *queue) flush() {
	q.mu.Lock()
	if !q.writing || q.stuckFor() >= flushTimeout {
		q.mu.Unlock()
		return
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
	case <-time.After(flushTimeout):
	}
}

// A failureCounter counts the lines that a queue could not write: zap writes a
// message to it for each of them.
type failureCounter struct{ queue *queue }

// Write implements zapcore.WriteSyncer.
func (c failureCounter) Write(p []byte) (int, error) {
	c.queue.failed++
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer.
func (failureCounter) Sync() error { return nil }

// Interface guards
var _ zapcore.WriteSyncer = failureCounter{}
