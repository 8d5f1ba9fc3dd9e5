package caddylog

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// credentialHeaders are the headers that Caddy's own logs redact.
var credentialHeaders = []string{"Cookie", "Set-Cookie", "Authorization", "Proxy-Authorization"}

// WarnHeader logs a warning if an access log of the handler's server records the header that
// has the handler's secret. ctx is the handler's.
func WarnHeader(ctx caddy.Context, logger *zap.Logger, header string) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.Logs == nil {
		return
	}
	header = textproto.CanonicalMIMEHeaderKey(header)
	if slices.Contains(credentialHeaders, header) && !server.Logs.ShouldLogCredentials {
		return
	}
	for _, name := range accessLoggers(server.Logs) {
		if records(ctx.Logger(name), header) {
			logger.Warn("access logs are on and record the header that holds the secret; write `format scribegate` into the block of each log, as in Scribegate's Caddyfile, or have a filter delete the header",
				zap.String("header", header), zap.String("access_logger", string(name)))
			return
		}
	}
}

// accessLoggers returns a server's access loggers.
func accessLoggers(c *caddyhttp.ServerLogConfig) []accessLogger {
	var names []string
	if !c.SkipUnmappedHosts {
		names = append(names, c.DefaultLoggerName)
	}
	for _, host := range slices.Sorted(maps.Keys(c.LoggerNames)) {
		names = append(names, c.LoggerNames[host]...)
	}
	loggers := make([]accessLogger, len(names))
	for i, name := range names {
		loggers[i] = accessLogger(strings.TrimSuffix("http.log.access."+name, "."))
	}
	return loggers
}

// An accessLogger is the name of an access logger. As a module it has a logger whose lines go
// to the same logs.
type accessLogger string

// CaddyModule returns a module below the access logger: for the access logger itself, Caddy
// would also choose the logs that include only loggers below it.
func (l accessLogger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: caddy.ModuleID(l + ".scribegate")}
}

// records reports whether a log of the logger records a header of requests. It passes a request
// to the logger's encoders without writing a line: a filter that removes the header never reads
// its value.
func records(logger *zap.Logger, header string) (recorded bool) {
	value := zapcore.ArrayMarshalerFunc(func(zapcore.ArrayEncoder) error {
		recorded = true
		return nil
	})
	headers := zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error { return enc.AddArray(header, value) })
	request := zapcore.ObjectMarshalerFunc(func(enc zapcore.ObjectEncoder) error { return enc.AddObject("headers", headers) })
	_ = logger.With(zap.Object("request", request))
	return recorded
}
