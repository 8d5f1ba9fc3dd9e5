package gateway

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// troubleLogEvery is the interval in which an operation that keeps failing is logged.
const troubleLogEvery = time.Minute

// A trouble logs an operation that keeps failing: the first failure, one line in each
// troubleLogEvery while it fails, and its next success.
type trouble struct {
	begun, over string // the messages

	mu     sync.Mutex
	err    error     // the newest; nil if the operation works
	since  time.Time // of the first failure
	logged time.Time // when it was last logged
}

// The troubles of a queue.
const (
	writingFails  = "the queue cannot be written; events are refused with 503, and writing is retried until it succeeds"
	writingWorks  = "the queue can be written again"
	countingFails = "the queue's counts cannot be read; status and health report this, and its metrics are left out"
	countingWorks = "the queue's counts can be read again"
)

// observe records the result of the operation; nil is a success.
func (t *trouble) observe(err error, logger func() *zap.Logger) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && t.err == nil:
		return
	case err == nil:
		logger().Info(t.over, zap.Duration("after", now.Sub(t.since)))
		t.err, t.logged = nil, time.Time{}
		return
	case t.err == nil:
		t.since = now
	}
	t.err = err
	if now.Sub(t.logged) < troubleLogEvery {
		return
	}
	t.logged = now
	logger().Error(t.begun, zap.Error(err))
}

// failure returns the newest error and the time of the first one, or nil while the
// operation works.
func (t *trouble) failure() (since time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.since, t.err
}
