package logging

import (
	"encoding/json"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A queuedCore has lines written by a queue.
type queuedCore struct {
	zapcore.Core
	queue *queue
}

// With implements zapcore.Core.
func (c queuedCore) With(fields []zapcore.Field) zapcore.Core {
	return queuedCore{c.Core.With(fields), c.queue}
}

// Check implements zapcore.Core.
func (c queuedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements zapcore.Core.
func (c queuedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	checked := c.Core.Check(entry, nil)
	if checked == nil {
		return nil
	}
	checked.ErrorOutput = failureCounter{c.queue}
	own, size := ownFields(fields)
	c.queue.add(line{
		write: func() { checked.Write(own...) },
		size:  size + len(entry.Message) + len(entry.Stack),
	})
	return nil
}

// Sync implements zapcore.Core.
func (c queuedCore) Sync() error {
	c.queue.flush()
	return c.Core.Sync()
}

// ownFields copies fields, so that nothing that the caller may change is read
// later, and returns about how many bytes they have.
func ownFields(fields []zapcore.Field) (own []zapcore.Field, size int) {
	own = make([]zapcore.Field, len(fields))
	for i, f := range fields {
		if f.Interface != nil && f.Type != zapcore.TimeType && f.Type != zapcore.TimeFullType {
			f = evaluated(f)
		}
		own[i] = f
		size += 64 + len(f.Key) + len(f.String)
	}
	return own, size
}

// evaluated returns a copy of a field with its present value.
func evaluated(f zapcore.Field) zapcore.Field {
	if f.Type == zapcore.ReflectType {
		if text, err := json.Marshal(f.Interface); err == nil {
			return zap.Reflect(f.Key, json.RawMessage(text))
		}
	}
	values := zapcore.NewMapObjectEncoder()
	f.AddTo(values)
	if text, ok := values.Fields[f.Key].(string); ok {
		return zap.String(f.Key, text)
	}
	return zap.Any(f.Key, values.Fields[f.Key])
}

// Interface guards
var _ zapcore.Core = queuedCore{}
