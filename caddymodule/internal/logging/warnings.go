package logging

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// maxWarnings is the largest number of warnings that are recorded for a configuration.
const maxWarnings = 100

// A Warning is a line of the log that says what to change in the configuration.
type Warning struct {
	At      time.Time
	Logger  string // the name of the logger
	Message string
	Fields  []Field
}

// A Field is a field of a Warning, with its value as text.
type Field struct{ Key, Value string }

// Configuration returns a logger as Logger does, for what concerns the configuration and not an
// event: its warnings are recorded as well, whatever the log's level and output are, and
// [Logs.Warnings] returns them. No matter when such a warning is logged, it is recorded: some are
// logged only after the app has started, when the configuration before it stops. All other lines
// are written to the log only.
func Configuration(ctx caddy.Context, module ...caddy.Module) *zap.Logger {
	return Of(ctx).warnings.record(Logger(ctx, module...))
}

// Warnings returns the warnings about the configuration so far, in their order and without
// repeats, and no more than 100. They end with the configuration.
func (l *Logs) Warnings() []Warning {
	l.warnings.mu.Lock()
	defer l.warnings.mu.Unlock()
	return slices.Clone(l.warnings.all)
}

// The warnings of one configuration.
type warnings struct {
	mu  sync.Mutex
	all []Warning
}

// record returns a logger whose warnings are also added to w.
func (w *warnings) record(logger *zap.Logger) *zap.Logger {
	return logger.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewTee(core, recorder{warnings: w})
	}))
}

// add adds a warning, unless it is known or there are too many.
func (w *warnings) add(added Warning) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) >= maxWarnings || slices.ContainsFunc(w.all, added.repeats) {
		return
	}
	w.all = append(w.all, added)
}

// repeats reports whether two warnings say the same.
func (w Warning) repeats(other Warning) bool {
	return w.Logger == other.Logger && w.Message == other.Message && slices.Equal(w.Fields, other.Fields)
}

// A recorder is a core that adds the warnings of a logger to those of its configuration.
type recorder struct {
	warnings *warnings
	context  []zapcore.Field // of the logger
}

// Enabled implements zapcore.Core.
func (recorder) Enabled(level zapcore.Level) bool { return level == zapcore.WarnLevel }

// With implements zapcore.Core.
func (r recorder) With(fields []zapcore.Field) zapcore.Core {
	return recorder{r.warnings, slices.Concat(r.context, fields)}
}

// Check implements zapcore.Core.
func (r recorder) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !r.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, r)
}

// Write implements zapcore.Core.
func (r recorder) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	w := Warning{At: entry.Time, Logger: entry.LoggerName, Message: entry.Message}
	for _, f := range slices.Concat(r.context, fields) {
		values := zapcore.NewMapObjectEncoder()
		f.AddTo(values)
		if value, ok := values.Fields[f.Key]; ok {
			w.Fields = append(w.Fields, Field{f.Key, textOf(value)})
		}
	}
	r.warnings.add(w)
	return nil
}

// Sync implements zapcore.Core.
func (recorder) Sync() error { return nil }

// textOf returns the text of a field's value.
func textOf(value any) string {
	switch v := value.(type) {
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = textOf(v[i])
		}
		return strings.Join(words, ", ")
	case time.Time:
		return v.Format(time.RFC3339)
	}
	return fmt.Sprint(value)
}

// Interface guards
var _ zapcore.Core = recorder{}
