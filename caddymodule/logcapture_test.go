package caddymodule

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
)

func init() { caddy.RegisterModule(captureWriter{}) }

// captureLog is a global option that has all of Caddy's lines, of every level,
// go into captured, as JSON.
const captureLog = `
	log default {
		output capture
		format json
		level DEBUG
	}
`

// captured holds the lines of configurations with captureLog.
var captured logCapture

type logCapture struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// captureWriter is Caddy's way to captured.
type captureWriter struct{}

// CaddyModule returns the Caddy module information.
func (captureWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.capture", New: func() caddy.Module { return new(captureWriter) }}
}

func (captureWriter) String() string    { return "capture" }
func (captureWriter) WriterKey() string { return "capture" }

func (captureWriter) OpenWriter() (io.WriteCloser, error) { return &captured, nil }

func (captureWriter) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (c *logCapture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.Write(p)
}

func (c *logCapture) Close() error { return nil }

// String returns the lines so far, once those that wait are written.
func (c *logCapture) String() string {
	flushLogs()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.buf.String()
}

// flushLogs waits until the lines of the running configuration are written. Those of the
// configurations before it are written when they are cleaned up.
func flushLogs() { logging.Of(caddy.ActiveContext()).Flush() }

// reset forgets the lines so far.
func (c *logCapture) reset() {
	flushLogs()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf.Reset()
}

// with returns the lines so far whose message begins like this.
func (c *logCapture) with(t *testing.T, message string) []map[string]any {
	t.Helper()
	var lines []map[string]any
	for line := range strings.Lines(c.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("a line of the log is not JSON: %v\n%s", err, line)
		}
		if msg, _ := fields["msg"].(string); strings.HasPrefix(msg, message) {
			lines = append(lines, fields)
		}
	}
	return lines
}

func observed() (*zap.Logger, *zapobserver.ObservedLogs) {
	core, logs := zapobserver.New(zapcore.DebugLevel)
	return zap.New(core), logs
}
