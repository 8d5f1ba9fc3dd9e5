package logging

import (
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A chainedCore has the lines of the audit trail written by a queue, and linked by a chain.
type chainedCore struct {
	core   zapcore.Core
	fields []zap.Field
	logs   *Logs
}

// Enabled implements zapcore.Core.
func (c chainedCore) Enabled(level zapcore.Level) bool { return c.core.Enabled(level) }

// With implements zapcore.Core. The fields become part of each line, so that the chain has them.
func (c chainedCore) With(fields []zapcore.Field) zapcore.Core {
	return chainedCore{c.core, slices.Concat(c.fields, fields), c.logs}
}

// Check implements zapcore.Core.
func (c chainedCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if !c.Enabled(entry.Level) {
		return checked
	}
	return checked.AddCore(entry, c)
}

// Write implements zapcore.Core.
func (c chainedCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	own, size := ownFields(slices.Concat(c.fields, fields))
	c.logs.audit.add(line{
		write: func() { c.logs.chain.get().Append(entry.Time, entry.Message, own, writer(c.core, entry)) },
		size:  size + len(entry.Message),
	})
	return nil
}

// Sync implements zapcore.Core.
func (c chainedCore) Sync() error {
	c.logs.audit.flush()
	return c.core.Sync()
}

// writer returns a function that writes lines like an entry. A line that no log takes counts as
// not written.
func writer(core zapcore.Core, entry zapcore.Entry) chain.Write {
	return func(at time.Time, message string, fields []zap.Field) bool {
		entry.Time, entry.Message = at, message
		checked := core.Check(entry, nil)
		if checked == nil {
			return false
		}
		var failed failure
		checked.ErrorOutput = &failed
		checked.Write(fields...)
		return !bool(failed)
	}
}

// A failure is set when zap reports that a line could not be written.
type failure bool

// Write implements zapcore.WriteSyncer.
func (f *failure) Write(p []byte) (int, error) {
	*f = true
	return len(p), nil
}

// Sync implements zapcore.WriteSyncer.
func (*failure) Sync() error { return nil }

// A chainSetting is the chain of a configuration. The lines of a configuration with a store wait
// until the store is open.
type chainSetting struct {
	mu    sync.Mutex
	chain *chain.Chain
	set   chan struct{} // closed when the chain is set, if it is awaited
}

func newChainSetting() chainSetting { return chainSetting{chain: processChain()} }

// processChain returns the chain for the lines that belong to no store.
var processChain = sync.OnceValue(func() *chain.Chain {
	key := seal.NewTransientAudit()
	return chain.New(build.Version(), func() seal.AuditKey { return key })
})

// get waits for the chain, if it is awaited.
func (s *chainSetting) get() *chain.Chain {
	s.mu.Lock()
	set := s.set
	s.mu.Unlock()
	if set != nil {
		<-set
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.chain
}

// AwaitChain makes the lines of the audit trail wait until SetChain is called.
func (l *Logs) AwaitChain() {
	l.chain.mu.Lock()
	defer l.chain.mu.Unlock()
	if l.chain.set == nil {
		l.chain.set = make(chan struct{})
	}
}

// SetChain sets the chain that links the lines of the audit trail. With nil it remains that of no
// store. Only the first call after AwaitChain does anything. A module that was not provisioned has
// no Logs.
func (l *Logs) SetChain(c *chain.Chain) {
	if l == nil {
		return
	}
	l.chain.mu.Lock()
	defer l.chain.mu.Unlock()
	if l.chain.set == nil {
		return
	}
	select {
	case <-l.chain.set:
		return
	default:
	}
	if c != nil {
		l.chain.chain = c
		l.audit.add(line{write: func() { l.audit.dropped(0) }}) // the line of the start
	}
	close(l.chain.set)
}

// FlushAudit waits until all lines of the audit trail are written, or flushTimeout.
func (l *Logs) FlushAudit() { l.audit.flush() }

// Interface guards
var (
	_ zapcore.Core        = chainedCore{}
	_ zapcore.WriteSyncer = (*failure)(nil)
)
