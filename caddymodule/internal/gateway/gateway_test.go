package gateway

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/verifier/event"
)

// A testEngine is an SQLite queue that adopts settings by calling a function.
type testEngine struct {
	path  string
	adopt func() error
}

func (*testEngine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.queues.test"}
}
func (e *testEngine) Key() string           { return "test:" + e.path }
func (*testEngine) MaxSize() int64          { return 0 }
func (*testEngine) Check(queue.Queue) error { return nil }

func (e *testEngine) Open(o OpenOptions) (queue.Queue, error) {
	return sqlitequeue.Open(sqlitequeue.Options{Path: e.path, Settings: o.Settings, OnCommit: o.OnCommit, OnFailure: o.OnFailure})
}

func (e *testEngine) Adopt(queue.Queue) error {
	if e.adopt == nil {
		return nil
	}
	return e.adopt()
}

// testConfig returns a configuration with an engine.
func testConfig(e *testEngine) *Config {
	return &Config{
		Engine: e, Settings: queue.DefaultSettings(), Observer: &Observer{Logger: zap.NewNop()}, Logger: zap.NewNop(),
		Route: func(*event.Event) []string { return nil }, StoreTimeout: time.Minute,
	}
}

// newEngine returns the engine of a queue of the test.
func newEngine(t *testing.T) *testEngine {
	t.Helper()
	return &testEngine{path: filepath.Join(t.TempDir(), "queue.db")}
}

// acquire returns the lease of a configuration that has started, until the test ends.
func acquire(t *testing.T, c *Config) *Lease {
	t.Helper()
	l := NewLease()
	if err := l.Acquire(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Release(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// item returns an event that no upstream receives.
func item(id string) queue.Item {
	return queue.Item{Event: &event.Event{
		ID: id, Provider: "soapnoteapi", Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.test", ReceivedAt: time.Now(), Body: []byte("{}"),
	}}
}

// within returns the value that a channel gets within the time that a test waits.
func within[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(commandtest.WaitTimeout):
		t.Fatalf("%s: not within %s", what, commandtest.WaitTimeout)
	}
	return v
}

// A gateway that closes waits for the handlers that are storing, and lets no other in. A
// handler that is too late does not wait.
func TestUseOfAGatewayThatCloses(t *testing.T) {
	l := acquire(t, testConfig(newEngine(t)))
	g, leave, err := l.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	released := make(chan error, 1)
	go func() { released <- l.Release() }()
	commandtest.WaitUntil(t, "the gateway to close", func() bool {
		if !g.enter() {
			return true
		}
		g.users.RUnlock()
		return false
	})

	late := make(chan error, 1)
	go func() {
		_, _, err := l.Use(t.Context())
		late <- err
	}()
	if err := within(t, "the answer to a late handler", late); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a late handler gets %v, want %v", err, ErrNotRunning)
	}
	if _, err := g.Store(t.Context(), item("first")); err != nil {
		t.Errorf("the handler that was there first cannot store: %v", err)
	}
	leave()
	if err := within(t, "the end of the gateway", released); err != nil {
		t.Error(err)
	}
}

// A configuration that is rejected after its app has started never becomes active, and
// leaves nothing behind.
func TestRejectedConfiguration(t *testing.T) {
	running, away := testConfig(newEngine(t)), testConfig(newEngine(t))
	l := acquire(t, running)
	rejected := acquire(t, away)
	other, _, err := rejected.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other.users.RUnlock()
	if err := rejected.Release(); err != nil {
		t.Fatal(err)
	}
	if other.Config() != nil {
		t.Error("the rejected configuration was active")
	}
	if g := l.gateway.Load(); g.active.Load() != running {
		t.Error("the running configuration is not active any more")
	}
	l.Deactivate()
	if n := len(generations.all); n != 0 {
		t.Errorf("%d configurations are left", n)
	}
}

// If a configuration is replaced while its settings are being adopted, those of its successor
// come into force in the end, and its successor is not delayed.
func TestReplacedWhileAdopting(t *testing.T) {
	was := adoptGrace
	adoptGrace = 10 * time.Millisecond
	defer func() { adoptGrace = was }()

	inForce, adopting, finish := make(chan string, 10), make(chan struct{}), make(chan struct{})
	before, after := newEngine(t), new(testEngine)
	after.path = before.path
	calls := 0
	before.adopt = func() error {
		if calls++; calls > 1 { // the first is that of the activation
			close(adopting)
			<-finish
		}
		inForce <- "before"
		return nil
	}
	after.adopt = func() error {
		inForce <- "after"
		return nil
	}
	l := acquire(t, testConfig(before))
	within(t, "the first adoption", inForce)
	g := l.gateway.Load()
	if _, err := g.Store(t.Context(), item("first")); err != nil { // the first event has the files checked
		t.Fatal(err)
	}
	within(t, "the second adoption", adopting)

	replaced := make(chan struct{})
	next := acquire(t, testConfig(after))
	go func() {
		defer close(replaced)
		l.Deactivate()
	}()
	within(t, "the next configuration to be active", replaced)
	close(finish)
	first, last := within(t, "the second adoption to end", inForce), within(t, "the adoption of the next configuration", inForce)
	if first != "before" || last != "after" {
		t.Errorf("the settings of %q, then those of %q came into force", first, last)
	}
	if next.gateway.Load() != g {
		t.Error("the next configuration has a gateway of its own")
	}
}

// A sender waits before it answers.
type sender struct{ sending, answer chan struct{} }

// Send implements forwarder.Sender.
func (s sender) Send(context.Context, *forwarder.Message) (forwarder.Answer, error) {
	close(s.sending)
	<-s.answer
	return forwarder.Answer{Status: http.StatusNoContent}, nil
}

// An observer counts the attempts that it is notified of.
type observer struct {
	forwarder.Observer
	attempted atomic.Int32
}

// Attempted implements forwarder.Observer.
func (o *observer) Attempted(forwarder.AttemptReport) { o.attempted.Add(1) }

// An attempt that is in flight when its configuration stops is reported.
func TestLastAttemptIsReported(t *testing.T) {
	c, s, o := testConfig(newEngine(t)), sender{make(chan struct{}), make(chan struct{})}, new(observer)
	c.Observer = o
	c.Upstreams = []forwarder.Upstream{{Name: "ehr", Timeout: time.Minute, Concurrency: 1, Sender: s}}
	l := acquire(t, c)
	first := item("first")
	first.Upstreams = []string{"ehr"}
	if _, err := l.gateway.Load().Store(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	within(t, "the attempt", s.sending)
	l.Deactivate()
	close(s.answer)
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if n := o.attempted.Load(); n != 1 {
		t.Errorf("%d attempts were reported, want 1", n)
	}
}

// There is an exporter of spans once a configuration traces, and not before.
func TestExporterIfTraced(t *testing.T) {
	t.Setenv("OTEL_TRACES_EXPORTER", "none")
	g := &Gateway{}
	c := testConfig(newEngine(t))
	if tracer := g.tracer(c); tracer != nil || g.spans != nil {
		t.Error("spans are exported without tracing")
	}
	c.Traced = true
	if tracer := g.tracer(c); tracer == nil || g.spans == nil {
		t.Error("no spans are exported with tracing")
	}
	g.closeSpans()
}

// Interface guards
var _ Engine = (*testEngine)(nil)
