package pages

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/verifier/event"
)

// planted is in every payload, query and proof of the tests' events, and on no page.
const planted = "PLANTED-PATIENT"

// markup is a text as a stranger may choose it.
const markup = `<b onclick="x()">&'"`

// A site is a console beside a running gateway. Only one can run at a time.
type site struct {
	testing.TB
	pages   *Pages
	gateway *gateway.Gateway
	visitor Visitor
	trail   *observer.ObservedLogs   // the audit trail of the console
	answers map[string]*atomic.Int32 // the status that a backend answers from now on, if it is not 0
	fault   fault
	seen    map[string]string // the pages so far, by their addresses
}

// An engine is an SQLite queue in a folder of the test.
type engine struct {
	path string
	*fault
}

// A fault is the error that a queue returns to its readers, or nil. It counts the lists that
// are read.
type fault struct {
	err   atomic.Pointer[error]
	reads atomic.Int32
}

func (f *fault) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// A faulty queue can be made to fail.
type faulty struct {
	queue.Queue
	*fault
}

func (q faulty) Stats() (queue.Stats, error) {
	if err := q.get(); err != nil {
		return queue.Stats{}, err
	}
	return q.Queue.Stats()
}

func (q faulty) Events(ctx context.Context, f queue.Filter) (queue.Page, error) {
	q.reads.Add(1)
	if err := q.get(); err != nil {
		return queue.Page{}, err
	}
	return q.Queue.Events(ctx, f)
}

func (engine) CaddyModule() caddy.ModuleInfo { return caddy.ModuleInfo{ID: "scribegate.queues.test"} }
func (e engine) Key() string                 { return "test:" + e.path }
func (engine) MaxSize() int64                { return 0 }
func (engine) Check(queue.Queue) error       { return nil }
func (engine) Adopt(queue.Queue) error       { return nil }
func (e engine) Open(o gateway.OpenOptions) (queue.Queue, error) {
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: e.path, Settings: o.Settings, OnCommit: o.OnCommit, OnFailure: o.OnFailure})
	return faulty{q, e.fault}, err
}

// A backend answers the deliveries to an upstream: with a status, or with an error.
type backend func() (int, error)

// Send implements forwarder.Sender.
func (b backend) Send(context.Context, *forwarder.Message) (forwarder.Answer, error) {
	status, err := b()
	return forwarder.Answer{Status: status}, err
}

// status returns a backend that always answers the same.
func status(code int) backend { return func() (int, error) { return code, nil } }

// newSite runs a gateway with the upstreams, which make one attempt and no other.
func newSite(t testing.TB, upstreams map[string]backend) *site {
	t.Helper()
	trail, lines := newTrail()
	s := &site{
		TB: t, pages: &Pages{logger: zap.NewNop(), operator: operate.Operator{Logger: zap.NewNop(), Audit: trail}}, trail: lines, answers: make(map[string]*atomic.Int32),
		visitor: Visitor{Name: "alice", From: "192.0.2.1", Acts: true}, seen: make(map[string]string),
	}
	c := &gateway.Config{
		Engine: engine{filepath.Join(t.TempDir(), "queue.db"), &s.fault}, Settings: queue.DefaultSettings(),
		Observer: &gateway.Observer{Logger: zap.NewNop(), Audit: audit.New(zap.NewNop()), Notify: func(string, map[string]any) {}}, Logger: zap.NewNop(),
		StoreTimeout: time.Minute,
	}
	c.Route = func(*event.Event) []string { return c.UpstreamNames() }
	for name, b := range upstreams {
		from := new(atomic.Int32)
		s.answers[name] = from
		changed := backend(func() (int, error) {
			if status := from.Load(); status != 0 {
				return int(status), nil
			}
			return b()
		})
		c.Upstreams = append(c.Upstreams, forwarder.Upstream{Name: name, Timeout: time.Minute, Concurrency: 4, Retry: []time.Duration{}, Sender: changed})
	}
	l := gateway.NewLease()
	if err := l.Acquire(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Deactivate()
		if err := l.Release(); err != nil {
			t.Error(err)
		}
		for address, page := range s.seen {
			checkHTML(t, address, page)
			if strings.Contains(page, planted) {
				t.Errorf("%s: a payload, a query or a proof is on the page", address)
			}
		}
	})
	s.gateway = gateway.Current()
	return s
}

// store stores an event, and returns its id.
func (s *site) store(id string, change ...func(*queue.Item)) string {
	s.Helper()
	it := queue.Item{Upstreams: s.gateway.Config().UpstreamNames(), Event: &event.Event{
		ID: id, Provider: "soapnoteapi", Kind: event.KindNote, Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.generated", Subject: "subject-of-" + id, ReceivedAt: time.Now(),
		Body: []byte(`{"note":"` + planted + `"}`), Query: "name=" + planted, Metadata: []event.Param{{Name: "name", Values: []string{planted}}},
		Proof: []event.Field{{Name: "X-Soapnoteapi-Signature", Value: planted}},
	}}
	for _, c := range change {
		c(&it)
	}
	if _, err := s.gateway.Store(s.Context(), it); err != nil {
		s.Fatal(err)
	}
	return id
}

// receivedAt, typed and setAside change an item.
func receivedAt(at time.Time) func(*queue.Item) {
	return func(it *queue.Item) { it.Event.ReceivedAt = at }
}

func typed(short string) func(*queue.Item) {
	return func(it *queue.Item) { it.Event.Type = event.TypePrefix(it.Event.Provider) + short }
}

func to(upstreams ...string) func(*queue.Item) {
	return func(it *queue.Item) { it.Upstreams = upstreams }
}

func setAside(state queue.State, reason string) func(*queue.Item) {
	return func(it *queue.Item) { it.State, it.Reason, it.Upstreams = state, reason, nil }
}

// A shown is an answer of the console.
type shown struct {
	status   int
	body     string
	location string
}

// ask sends a request, as a form if there is one, to a page of the console below a prefix.
func (s *site) ask(address string, form url.Values) shown {
	s.Helper()
	snapshots.Forget()
	searches.Forget()
	r := httptest.NewRequest(http.MethodGet, "/ops/"+address, nil)
	if form != nil {
		r = httptest.NewRequest(http.MethodPost, "/ops/"+address, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if err := r.ParseForm(); err != nil {
			s.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	s.pages.Serve(w, r, s.visitor)
	got := shown{w.Code, w.Body.String(), w.Header().Get("Location")}
	if got.location == "" {
		s.seen[r.Method+" "+address] = got.body
	}
	return got
}

// part returns what the script gets of a page.
func (s *site) part(address string) string {
	s.Helper()
	r := httptest.NewRequest(http.MethodGet, "/ops/"+address, nil)
	r.Header.Set(partHeader, "1")
	w := httptest.NewRecorder()
	s.pages.Serve(w, r, s.visitor)
	checkHTML(s, "a part", w.Body.String())
	return w.Body.String()
}

// page returns a page that must be there.
func (s *site) page(address string) string {
	s.Helper()
	got := s.ask(address, nil)
	if got.status != http.StatusOK {
		s.Fatalf("%s: status %d\n%s", address, got.status, got.body)
	}
	return got.body
}

// shows checks that a page has each of the texts.
func shows(t testing.TB, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("%q is not on the page:\n%s", text, page)
		}
	}
}

// lacks checks that a page has none of the texts.
func lacks(t testing.TB, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(page, text) {
			t.Errorf("%q is on the page:\n%s", text, page)
		}
	}
}
