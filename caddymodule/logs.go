package caddymodule

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// stuckAfter is how long a line may take to be written before its log counts as
// stuck.
const stuckAfter = time.Second

// moduleLogger returns the logger of the module that is being provisioned, or of
// the one given. Another goroutine writes its lines, in their order, so that a log
// that cannot be written holds up neither an answer nor a delivery.
func moduleLogger(ctx caddy.Context, module ...caddy.Module) *zap.Logger {
	return logsOf(ctx).lines.wrap(ctx.Logger(module...))
}

// logs are the queues of one configuration: a log that is stuck keeps nothing
// from the audit trail where that has a file of its own.
type logs struct{ lines, audit *logQueue }

// allLogs has the logs of each configuration by its metrics registry, which all
// of its modules share.
var allLogs sync.Map

func logsOf(ctx caddy.Context) *logs {
	key := ctx.GetMetricsRegistry()
	if known, ok := allLogs.Load(key); ok {
		return known.(*logs)
	}
	logger := ctx.Logger(new(App))
	known, loaded := allLogs.LoadOrStore(key, &logs{
		lines: newLogQueue(func() *zap.Logger { return logger }, zapcore.WarnLevel, linesDropped),
		audit: newLogQueue(func() *zap.Logger { return logger.Named(auditName) }, zapcore.InfoLevel, string(actionLinesDropped)),
	})
	if !loaded && ctx.Context != nil {
		context.AfterFunc(ctx, func() { allLogs.Delete(key) })
	}
	return known.(*logs)
}

const linesDropped = "lines of the log were dropped, since it could not be written, or not as fast as they came"

// processLines is the queue for lines that belong to no configuration.
var processLines = newLogQueue(processLog, zapcore.WarnLevel, linesDropped)

func processLog() *zap.Logger { return caddy.Log().Named(appName) }

// processLogger returns the logger for what belongs to no configuration.
func processLogger() *zap.Logger { return processLines.wrap(processLog()) }

// closeWhileStuck has an HTTP/1 connection closed behind the answer while a line
// cannot be written: an access log of Caddy's that goes the same way would hold up
// the next request on the connection.
func (l *logs) closeWhileStuck(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && max(l.lines.stuckFor(), l.audit.stuckFor()) >= stuckAfter {
		w.Header().Set("Connection", "close")
	}
}

// flush waits until all lines are written, or flushTimeout. A module that was not
// provisioned has no logs.
func (l *logs) flush() {
	if l == nil {
		return
	}
	l.audit.flush()
	l.lines.flush()
	processLines.flush()
}
