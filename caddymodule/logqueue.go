package caddymodule

import (
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// maxLogLines and maxLogBytes are how much may wait for a log. What comes
	// while so much waits is dropped.
	maxLogLines = 4 << 10
	maxLogBytes = 4 << 20
)

// flushTimeout is how long the end of a configuration waits for a log.
const flushTimeout = time.Second

// A logQueue holds lines until they are written. A goroutine that writes them is
// there only while some wait.
type logQueue struct {
	dropped func(n int) // writes a line that says how many were dropped

	began atomic.Int64 // when the write that is under way began; 0 where none is

	mu      sync.Mutex
	waiting []logLine
	lines   int // waiting, and those that are being written
	bytes   int
	missed  int           // lines dropped behind the last that waits
	writing bool          // the goroutine is there
	idle    chan struct{} // closed when it ends; nil where nobody waits for that

	failed int // lines that could not be written; of the goroutine only
}

// A logLine is a line that waits.
type logLine struct {
	write  func()
	size   int
	missed int // how many lines before this one were dropped
}

// newLogQueue makes a queue that writes a line of its own about dropped ones.
func newLogQueue(logger func() *zap.Logger, level zapcore.Level, message string) *logQueue {
	q := new(logQueue)
	q.dropped = func(n int) {
		logger().WithOptions(zap.ErrorOutput(failureCounter{q})).Log(level, message, zap.Int("dropped", n))
	}
	return q
}

// wrap returns a logger whose lines go through the queue.
func (q *logQueue) wrap(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core { return queuedCore{core, q} }))
}

// add has a line written soon, or drops it. Once lines are dropped, they are
// until half of those that wait are written, so that the log does not become one
// line about dropped ones after another.
func (q *logQueue) add(l logLine) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := 1
	if q.missed > 0 {
		room = 2
	}
	if q.lines >= maxLogLines/room || q.bytes+l.size > maxLogBytes/room {
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

// write writes what waits, and ends when nothing does.
func (q *logQueue) write() {
	var batch []logLine
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
			batch[i] = logLine{}
			q.mu.Lock()
			q.lines--
			q.bytes -= l.size
			q.mu.Unlock()
		}
	}
}

// end notes that nothing is being written any more. q.mu is held.
func (q *logQueue) end() {
	q.writing = false
	q.waiting = nil
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// account writes how many lines were dropped or could not be written, if any.
func (q *logQueue) account(missed int) {
	missed += q.failed
	if missed == 0 {
		return
	}
	q.failed = 0
	q.began.Store(time.Now().UnixNano())
	q.dropped(missed)
	q.began.Store(0)
	if q.failed > 0 {
		q.failed = missed // that line could not be written either
	}
}

// stuckFor is how long the line that is being written has taken by now.
func (q *logQueue) stuckFor() time.Duration {
	began := q.began.Load()
	if began == 0 {
		return 0
	}
	return time.Since(time.Unix(0, began))
}

// flush waits until all lines are written, for flushTimeout at most, and not
// again for one that has taken so long already.
func (q *logQueue) flush() {
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
// line to it for each.
type failureCounter struct{ queue *logQueue }

// Write implements zapcore.WriteSyncer.
func (c failureCounter) Write(p []byte) (int, error) {
	c.queue.failed++
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer.
func (failureCounter) Sync() error { return nil }

// Interface guards
var _ zapcore.WriteSyncer = failureCounter{}
