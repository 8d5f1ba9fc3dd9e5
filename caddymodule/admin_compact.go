package caddymodule

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// compacted is the answer to a compaction: the size of the queue's storage in
// bytes.
type compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// compact has the queue give its free space back, and answers when it has.
// Whoever closes the connection before gives the compaction up, and the queue is
// as it was.
func (a *Admin) compact(ctx context.Context, g *gateway, r *http.Request, told queue.Progress) (any, error) {
	if err := onlyParameters(r.URL.Query()); err != nil {
		return nil, err
	}
	c, ok := g.queue.(queue.Compacter)
	if !ok {
		engine, _, _ := strings.Cut(g.key, ":")
		return nil, adminError{http.StatusNotImplemented, "the engine " + engine + " has nothing to compact"}
	}
	// A body means nothing here, but until it has been read nobody notices that
	// the connection is closed.
	if n, err := io.Copy(io.Discard, io.LimitReader(r.Body, maxSelection)); err != nil || n == maxSelection {
		return nil, badRequest("a body means nothing here, and this one is too large or was cut short")
	}
	began := time.Now()
	done, err := c.Compact(ctx, told)
	if err != nil {
		if ctx.Err() != nil {
			a.logger.Warn("a compaction was given up, since whoever asked for it has gone", zap.Duration("after", time.Since(began)))
		}
		return nil, err
	}
	a.logger.Info("queue compacted", zap.Int64("before", done.Before), zap.Int64("after", done.After), zap.Duration("took", time.Since(began)))
	return compacted{Before: done.Before, After: done.After}, nil
}
