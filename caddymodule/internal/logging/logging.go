package logging

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/chain"
)

const (
	// appName is the name of the app's logger.
	appName = "scribegate"

	// auditName is the name of the audit trail's logger below the app's:
	// scribegate.audit.
	auditName = "audit"
)

const linesDropped = "lines of the log were dropped, since it could not be written, or not as fast as they came"

// stuckAfter is how long a line may take to be written before its log counts as
// stuck.
const stuckAfter = time.Second

// Logger returns the logger of the module that is being provisioned, or of the one
// given. Its lines are written in order by another goroutine, so that a log that cannot
// be written delays neither an answer nor a delivery.
func Logger(ctx caddy.Context, module ...caddy.Module) *zap.Logger {
	return Of(ctx).lines.wrap(ctx.Logger(module...))
}

// Audit returns the logger of the audit trail, which is the same for every module of a
// configuration. Its lines are linked by the chain of [Logs.SetChain].
func Audit(ctx caddy.Context) *zap.Logger {
	l := Of(ctx)
	return ctx.Logger(app{}).Named(auditName).WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return chainedCore{core, nil, l}
	}))
}

// Subject returns the field of an event's subject; events without one have none.
func Subject(subject string) zap.Field {
	if subject == "" {
		return zap.Skip()
	}
	return zap.String("subject", subject)
}

// app has the id of the module whose logger is that of the configuration.
type app struct{}

// CaddyModule returns the Caddy module information.
func (app) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: appName} }

// Logs are the queues of one configuration, and its warnings. The audit trail has its own queue,
// so that it loses no line if it has a file of its own and another log is stuck.
type Logs struct {
	lines, audit *queue
	chain        chainSetting
	warnings     warnings
}

// configurations has the Logs of each configuration by its metrics registry, which all of
// its modules share.
var configurations sync.Map

// Of returns the Logs of a configuration.
func Of(ctx caddy.Context) *Logs {
	key := ctx.GetMetricsRegistry()
	if known, ok := configurations.Load(key); ok {
		return known.(*Logs)
	}
	logger := ctx.Logger(app{})
	l := &Logs{
		lines: newQueue(func() *zap.Logger { return logger }, zapcore.WarnLevel, linesDropped),
		audit: new(queue),
		chain: newChainSetting(),
	}
	l.audit.dropped = func(n int) {
		l.chain.get().Drop(n, writer(logger.Core(), zapcore.Entry{Level: zapcore.InfoLevel, LoggerName: chain.LoggerName}))
	}
	known, loaded := configurations.LoadOrStore(key, l)
	if !loaded && ctx.Context != nil {
		context.AfterFunc(ctx, func() { configurations.Delete(key) })
	}
	return known.(*Logs)
}

// processLines is the queue for lines that belong to no configuration.
var processLines = newQueue(ProcessLog, zapcore.WarnLevel, linesDropped)

// ProcessLogger returns the logger for lines that belong to no configuration.
func ProcessLogger() *zap.Logger { return processLines.wrap(ProcessLog()) }

// ProcessLog returns the same logger without the queue: it blocks while the log is stuck.
func ProcessLog() *zap.Logger { return caddy.Log().Named(appName) }

// CloseWhileStuck closes an HTTP/1 connection after the answer if a line cannot be
// written: Caddy's access log may go the same way, and would delay the next request on the
// connection.
func (l *Logs) CloseWhileStuck(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 && max(l.lines.stuckFor(), l.audit.stuckFor()) >= stuckAfter {
		w.Header().Set("Connection", "close")
	}
}

// Flush waits until all lines are written, or flushTimeout. A module that was not
// provisioned has no Logs.
func (l *Logs) Flush() {
	if l == nil {
		return
	}
	l.audit.flush()
	l.lines.flush()
	processLines.flush()
}
