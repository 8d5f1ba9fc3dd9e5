package operate

import (
	"context"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/verifier/event"
)

// An engine opens an SQLite queue of the test.
type engine struct{ path string }

func (engine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.queues.test"}
}
func (e engine) Key() string           { return "test:" + e.path }
func (engine) MaxSize() int64          { return 0 }
func (engine) Check(queue.Queue) error { return nil }
func (engine) Adopt(queue.Queue) error { return nil }
func (e engine) Open(o gateway.OpenOptions) (queue.Queue, error) {
	return sqlitequeue.Open(sqlitequeue.Options{Path: e.path, Settings: o.Settings})
}

// A backend answers each delivery with a status, and asks for a long pause if it fails.
type backend struct {
	status atomic.Int32
	calls  atomic.Int32
}

// Send implements forwarder.Sender.
func (b *backend) Send(context.Context, *forwarder.Message) (forwarder.Answer, error) {
	b.calls.Add(1)
	a := forwarder.Answer{Status: int(b.status.Load())}
	if a.Status == http.StatusServiceUnavailable {
		a.RetryAfter = "3600"
	}
	return a, nil
}

// A fixture is a gateway with two upstreams, and an operator.
type fixture struct {
	*testing.T
	Operator
	gateway  *gateway.Gateway
	lease    *gateway.Lease
	ehr, lab *backend
	lines    *zapobserver.ObservedLogs // of the audit trail and of the log
	route    []string                  // of unrouted events
}

// start returns a gateway whose backends answer with a status. It runs until the test ends.
// Only one can run at a time.
func start(t *testing.T, status int) *fixture {
	t.Helper()
	core, lines := zapobserver.New(zap.InfoLevel)
	f := &fixture{T: t, ehr: new(backend), lab: new(backend), lines: lines}
	f.Operator = Operator{Logger: zap.New(core).Named("log"), Audit: audit.New(zap.New(core).Named("audit"))}
	c := &gateway.Config{
		Engine: engine{filepath.Join(t.TempDir(), "queue.db")}, Settings: queue.DefaultSettings(), StoreTimeout: time.Minute, Logger: zap.NewNop(),
		Observer: &gateway.Observer{Logger: zap.NewNop(), Audit: audit.New(zap.NewNop()), Notify: func(string, map[string]any) {}},
		Route:    func(*event.Event) []string { return f.route },
	}
	for name, b := range map[string]*backend{"ehr": f.ehr, "lab": f.lab} {
		b.status.Store(int32(status))
		c.Upstreams = append(c.Upstreams, forwarder.Upstream{Name: name, Timeout: time.Minute, Concurrency: 1, Sender: b})
	}
	f.lease = gateway.NewLease()
	if err := f.lease.Acquire(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.lease.Release(); err != nil {
			t.Error(err)
		}
	})
	f.gateway = gateway.Current()
	return f
}

// store stores an event for the upstreams, or one that is set aside in a state.
func (f *fixture) store(id string, state queue.State, upstreams ...string) {
	f.Helper()
	it := queue.Item{State: state, Upstreams: upstreams, Event: &event.Event{
		ID: id, Provider: "soapnoteapi", Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.failed", ReceivedAt: time.Now(), Body: []byte("{}"),
	}}
	if state == queue.Quarantined {
		it.Reason = "a reason"
	}
	if _, err := f.gateway.Store(f.Context(), it); err != nil {
		f.Fatal(err)
	}
}

// record returns the record of an event.
func (f *fixture) record(id string) queue.Record {
	f.Helper()
	r, err := f.gateway.Queue().Event(f.Context(), id)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// await waits until a delivery of an event was attempted and is in a state, and returns it with
// its record.
func (f *fixture) await(id, upstream string, state queue.State) (r queue.Record, d *queue.DeliveryRecord) {
	f.Helper()
	commandtest.WaitUntil(f.T, id+" to be "+string(state)+" for "+upstream, func() bool {
		r = f.record(id)
		for i := range r.Deliveries {
			if d = &r.Deliveries[i]; d.Upstream == upstream {
				return d.State == state && d.Attempts > 0
			}
		}
		return false
	})
	return r, d
}

// audited returns the fields of the lines of the audit trail, in their order.
func (f *fixture) audited() (all []map[string]any) {
	for _, line := range f.lines.FilterLoggerName("audit").All() {
		fields := zapcore.NewMapObjectEncoder()
		for _, field := range line.Context {
			field.AddTo(fields)
		}
		fields.Fields["msg"] = line.Message
		all = append(all, fields.Fields)
	}
	return all
}

// Interface guards
var _ gateway.Engine = engine{}
