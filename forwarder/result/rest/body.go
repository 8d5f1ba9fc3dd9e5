package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// progressTimeout is how long a request may go on without a byte of an answer.
	progressTimeout = 30 * time.Second

	// requestTimeout bounds a request in all, against an API that sends a byte now and
	// then.
	requestTimeout = 10 * time.Minute

	// largeAnswer is the size from which an answer is large.
	largeAnswer = 1 << 20
)

var (
	errNoProgress = errors.New("no byte of an answer for 30 s")
	errTooLong    = errors.New("the answer took too long")
	errTooLarge   = errors.New("the answer is too large")
	errCutOff     = errors.New("the answer was cut off")
)

// A watch cancels a request that makes no progress.
type watch struct {
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func newWatch(cancel context.CancelCauseFunc) *watch {
	return &watch{timer: time.AfterFunc(progressTimeout, func() { cancel(errNoProgress) }), cancel: cancel}
}

func (w *watch) progress() { w.timer.Reset(progressTimeout) }
func (w *watch) stop()     { w.timer.Stop() }

// A body is the bounded body of an answer. It keeps its error, since a JSON decoder
// hides it.
type body struct {
	ctx   context.Context // the request's
	src   io.Reader
	watch *watch
	left  int64
	read  int64
	size  int64                       // as declared; less than 0 if it was not
	large func(context.Context) error // called once the answer is large; may be nil
	err   error                       // other than io.EOF
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.read > largeAnswer && b.large != nil {
		b.watch.stop() // waiting for other requests is not the API's fault
		wait := b.large
		b.large = nil
		if b.err = wait(b.ctx); b.err != nil {
			return 0, b.err
		}
		b.watch.progress()
	}
	n, err := b.src.Read(p)
	b.watch.progress()
	b.read += int64(n)
	if b.left -= int64(n); b.left < 0 {
		b.err = errTooLarge
		return 0, b.err
	}
	switch {
	case err == nil, errors.Is(err, io.EOF):
	case b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
		b.err = err
	default:
		err = fmt.Errorf("%w: %w", errCutOff, err)
		b.err = err
	}
	return n, err
}

// remaining returns how many bytes of a large answer are still to come, if that was
// declared; else 0.
func (b *body) remaining() int {
	if b.read <= largeAnswer {
		return 0
	}
	return int(max(0, min(b.size-b.read, b.left)))
}
