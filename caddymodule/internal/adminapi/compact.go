package adminapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// compact returns the queue's free space to the file system, and answers when that
// is done. If the client closes the connection before, the compaction is cancelled.
func (a *API) compact(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error) {
	c, ok := g.Queue().(queue.Compacter)
	if !ok {
		return nil, admin.Error{Status: http.StatusNotImplemented, Text: "the engine " + g.EngineName() + " has nothing to compact" + advice(g)}
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	began := time.Now()
	done, err := c.Compact(ctx, report)
	if err != nil {
		if ctx.Err() != nil {
			a.logger.Warn("a compaction was cancelled, since the client closed the connection", zap.Duration("after", time.Since(began)))
		}
		return nil, err
	}
	a.logger.Info("queue compacted", zap.Int64("before", done.Before), zap.Int64("after", done.After), zap.Duration("took", time.Since(began)))
	return admin.Compacted{Before: done.Before, After: done.After}, nil
}

// maxNoBody bounds a body that is empty but for white space, in bytes.
const maxNoBody = 1 << 10

// noBody returns an error for a body other than an empty object. It reads the whole
// body: net/http notices a closed connection only after that.
func noBody(r *http.Request) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxNoBody))
	whole := err == nil && len(body) < maxNoBody
	body = bytes.TrimSpace(body)
	if !whole || len(body) > 0 && (body[0] != '{' || json.Unmarshal(body, &struct{}{}, json.RejectUnknownMembers(true)) != nil) {
		return admin.BadRequest("this route takes no body; leave it out, or send {}")
	}
	return nil
}
