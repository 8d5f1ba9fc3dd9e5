package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// newGatedSite runs a gateway whose queue can be held.
func newGatedSite(t *testing.T) *adminSite {
	t.Helper()
	a := &adminSite{site: newSite(t), admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t)}
	a.run(a.gatedApp(), soapnoteTo("ehr"))
	return a
}

func (a *adminSite) gatedApp() string {
	return strings.Replace(upstreams("ehr", a.ehr.URL), "QUEUE", gatedQueue+a.dir+"/queue.db\n\t\t}", 1)
}

// A queue that hangs with its disk hangs nobody who asks about it, is asked one
// question at a time, and what is known besides is said.
func TestQueueThatHangs(t *testing.T) {
	captured.reset()
	a := newGatedSite(t)
	accepted(t, a.site, "note-1")
	a.settle()
	release := countGate.shut(nil)
	defer release()

	answers := make(map[string]reply)
	var mu sync.Mutex
	var all sync.WaitGroup
	for _, path := range []string{"/scribegate/status", "/scribegate/health/live", "/scribegate/health/ready", "/metrics"} {
		for range 3 {
			all.Go(func() {
				r := a.ask("GET", path, "")
				mu.Lock()
				defer mu.Unlock()
				answers[path] = r
			})
		}
	}
	all.Wait()
	if n := len(countGate.reached); n != 1 {
		t.Errorf("the queue was asked %d times, want once", n)
	}
	store := "the queue gated:" + a.dir + "/queue.db has not answered since 20"
	if r := answers["/scribegate/status"]; r.status != http.StatusServiceUnavailable || !strings.HasPrefix(r.body, `{"error":"`+store) {
		t.Errorf("status: %d %s", r.status, r.body)
	}
	if r := answers["/scribegate/health/live"]; r.status != http.StatusOK {
		t.Errorf("live: %d %s", r.status, r.body)
	}
	r := answers["/scribegate/health/ready"]
	if r.status != http.StatusServiceUnavailable || !strings.HasPrefix(r.body, `{"status":"unavailable","reason":"`+store) || !strings.Contains(r.body, "; the newest event was stored at 20") {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	m := answers["/metrics"]
	if m.status != http.StatusOK || strings.Contains(m.body, "scribegate_queue_") ||
		!strings.Contains(m.body, `scribegate_upstream_paused{upstream="ehr"} 0`) || !strings.Contains(m.body, "scribegate_events_received_total") {
		t.Errorf("metrics: %d\n%s", m.status, m.body)
	}
	a.command("status").Failed(t, store)
	a.command("health").Failed(t, "not ready: "+store)
	a.command("health", "live").Done(t)
	a.run(a.gatedApp(), soapnoteTo("ehr")) // a reload does not wait for it either

	release()
	eventually(t, "the queue to be asked again", func() bool { return a.ask("GET", "/scribegate/health/ready", "").status == http.StatusOK })
	if _, ok := a.metrics()["scribegate_queue_bytes"]; !ok {
		t.Error("the queue's metrics do not come back")
	}
	for _, line := range []string{"the queue's counts cannot be read", "the queue's counts can be read again"} {
		if n := len(captured.with(t, line)); n != 1 {
			t.Errorf("%d lines with %q, want one", n, line)
		}
	}
}

// The probe says whether events are refused, and by which store.
func TestQueueThatStoresNothing(t *testing.T) {
	shorten(t, &storeTimeout, 250*time.Millisecond)
	a := newGatedSite(t)
	release := storeGate.shut(nil)
	defer release()
	if r := do(t, a.soapnote("/soapnote", note("note-1"))); r.status != http.StatusServiceUnavailable {
		t.Fatalf("answer %d %s", r.status, r.body)
	}
	const refused = "events are refused: the queue gated:"
	if r := a.ask("GET", "/scribegate/health/ready", ""); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, refused) {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	held := countGate.shut(nil)
	if r := a.ask("GET", "/scribegate/health/ready", ""); !strings.Contains(r.body, "has not answered since") || !strings.Contains(r.body, "; the newest event was refused at 20") {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	held()
	release()
	accepted(t, a.site, "note-2")
	eventually(t, "the gateway to be ready", func() bool { return a.ask("GET", "/scribegate/health/ready", "").status == http.StatusOK })
}

// What the queue answers with an error is an error, and no empty status.
func TestStatusOfAQueueThatFails(t *testing.T) {
	a := newGatedSite(t)
	defer countGate.shut(errors.New("input/output error"))()
	if r := a.ask("GET", "/scribegate/status", ""); r.status != http.StatusInternalServerError || r.body != `{"error":"input/output error"}`+"\n" {
		t.Errorf("%d %s", r.status, r.body)
	}
	a.command("status").Failed(t, "input/output error")
	a.command("status", "--json").Failed(t, "input/output error")
	if _, ok := a.metrics()["scribegate_queue_bytes"]; ok {
		t.Error("a queue that cannot be counted has metrics")
	}
}

// A hangingEngine opens nothing until it receives a second time from opening.
type hangingEngine struct {
	SQLite

	opening chan struct{}
}

func (e *hangingEngine) Key() string { return "hangs" }

func (e *hangingEngine) Open(OpenOptions) (queue.Queue, error) {
	e.opening <- struct{}{}
	<-e.opening
	return nil, errors.New("it was not opened")
}

// That a queue is being opened, which may hang too, hides none of those that are open.
func TestQueueThatIsBeingOpened(t *testing.T) {
	a := newAdminSite(t)
	opening := make(chan struct{})
	g := gateway.Current()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := gateway.NewLease().Acquire(&gateway.Config{Engine: &hangingEngine{opening: opening}}); err == nil {
			t.Error("the queue was opened")
		}
	}()
	<-opening
	if gateway.Current() != g {
		t.Error("the open queue is not found")
	}
	if r := a.ask("GET", "/scribegate/health/ready", ""); r.status != http.StatusOK {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	close(opening)
	<-done
}

// Who asks for the gateway while the first configuration is being loaded waits for
// it, for as long as an inquiry may take.
func TestGatewayIsAwaitedWhileItStarts(t *testing.T) {
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if g := gateway.Await(ended); g != nil {
		t.Fatal("there is a gateway and no configuration")
	}
	found := make(chan *gateway.Gateway, 1)
	go func() { found <- gateway.Await(context.Background()) }()
	select {
	case <-found:
		t.Fatal("the gateway was not waited for")
	case <-time.After(40 * time.Millisecond):
	}
	newAdminSite(t)
	if g := <-found; g == nil || g != gateway.Current() {
		t.Errorf("the gateway found is %p, want %p", g, gateway.Current())
	}
}
