package adminapi

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// backup answers with a copy of the queue's storage. If the client closes the
// connection before the end, the backup is cancelled.
func (a *API) backup(ctx context.Context, g *gateway.Gateway, r *http.Request, _ queue.Progress) (any, error) {
	b, ok := g.Queue().(queue.Backuper)
	if !ok {
		return nil, admin.Error{Status: http.StatusNotImplemented, Text: "the engine " + g.EngineName() + " has no backup" + advice(g)}
	}
	if !r.ProtoAtLeast(1, 1) {
		return nil, admin.Error{Status: http.StatusHTTPVersionNotSupported, Text: "use HTTP/1.1: with HTTP/1.0 a client cannot notice that a copy is incomplete"}
	}
	if err := noBody(r); err != nil {
		return nil, err
	}
	return byteAnswer{
		header: http.Header{admin.KeyHeader: neededKeys(g)},
		write: func(w *byteWriter) error {
			began := time.Now()
			err := b.Backup(ctx, w, nil)
			if err == nil || w.begun {
				a.audit.BackedUp(w.written, err, audit.ActorOf(r))
			}
			fields := []zap.Field{zap.Int64("bytes", w.written), zap.Duration("took", time.Since(began))}
			switch {
			case err == nil:
				a.logger.Info("queue backed up", fields...)
			case ctx.Err() != nil || w.err != nil:
				a.logger.Warn("a backup was cancelled, since the client closed the connection or did not read", fields...)
			case w.begun: // the client gets no error
				a.logger.Error("a backup failed; the connection was closed, so that the client notices", append(fields, zap.Error(err))...)
			}
			return err
		},
	}, nil
}

// advice returns what the queue's engine has instead of a backup and a compaction.
func advice(g *gateway.Gateway) string {
	if q, ok := g.Queue().(queue.Adviser); ok {
		return ": " + q.Advice()
	}
	return ""
}

// neededKeys returns the values of admin.KeyHeader, as far as the engine reports its keys.
func neededKeys(g *gateway.Gateway) (keys []string) {
	if c := g.Config(); c != nil {
		if e, ok := c.Engine.(gateway.KeyedEngine); ok && e.HasConfiguredKeys() {
			keys = append(keys, admin.KeyOption)
		}
	}
	if q, ok := g.Queue().(interface{ KeyFile() string }); ok && q.KeyFile() != "" {
		keys = append(keys, url.PathEscape(q.KeyFile()))
	}
	return keys
}

// A byteAnswer is an answer of bytes that are sent while they are made.
type byteAnswer struct {
	header http.Header
	write  func(*byteWriter) error
}

// send sends the answer. It returns an error only if nothing has been sent. After
// that an error cuts the connection, so that the client does not take a part of the
// answer for all of it.
func (b byteAnswer) send(w http.ResponseWriter) error {
	out := &byteWriter{w: w, controller: http.NewResponseController(w), header: b.header}
	err := b.write(out)
	if err == nil {
		err = out.controller.Flush()
	}
	if err != nil && out.begun {
		panic(http.ErrAbortHandler)
	}
	_ = out.controller.SetWriteDeadline(time.Time{}) // for the next request on the connection
	return err
}

// byteTimeout is how long a client may take to read the bytes of one write. While it does
// not read, the queue keeps the pages that the copy needs. It is a variable for tests.
var byteTimeout = 30 * time.Second

// A byteWriter writes a byteAnswer. The status is sent with the first byte.
type byteWriter struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	header     http.Header
	begun      bool // whether the status has been sent
	written    int64
	err        error // of the connection
}

var _ io.Writer = (*byteWriter)(nil)

// Write implements io.Writer.
func (b *byteWriter) Write(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		maps.Copy(b.w.Header(), b.header)
		b.w.Header().Set("Content-Type", admin.BytesType)
		b.w.WriteHeader(http.StatusOK)
	}
	_ = b.controller.SetWriteDeadline(time.Now().Add(byteTimeout)) // a connection without deadlines cannot hang
	n, err := b.w.Write(p)
	b.written += int64(n)
	b.err = err
	return n, err
}
