package caddymodule

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

// A queue that is being closed waits for the events that are being stored; a
// request that comes to it meanwhile does not.
func TestRequestDoesNotWaitForAQueueThatCloses(t *testing.T) {
	shorten(t, &storeTimeout, 3*commandtest.WaitTimeout)
	a := newGatedSite(t)
	g := gateway.Current()
	release := storeGate.shut(nil)
	defer release()
	late, first := startSlowly(t, a.site, "late"), make(chan reply, 1)
	go func() { first <- do(t, a.soapnote("/soapnote", note("first"))) }()
	<-storeGate.reached
	removed := make(chan struct{})
	go func() {
		defer close(removed)
		a.run("", "respond 200")
	}()
	eventually(t, "the queue to be closed", func() bool { return g.Inspect().Closing })

	answered := make(chan reply, 1)
	go func() { answered <- late.finish() }()
	select {
	case r := <-answered:
		if r.status != http.StatusServiceUnavailable {
			t.Errorf("answer %d %s", r.status, r.body)
		}
	case <-time.After(commandtest.WaitTimeout):
		t.Error("a request waits until another has been stored")
	}
	release()
	if r := <-first; r.status != http.StatusOK {
		t.Errorf("the request that was there first: answer %d %s", r.status, r.body)
	}
	<-removed
}

// What holds a gateway open beyond its time keeps no configuration from being
// replaced.
func TestGatewayClosesWithoutItsLastHandler(t *testing.T) {
	shorten(t, &storeTimeout, 10*time.Millisecond)
	newGatedSite(t)
	outlived := gateway.NewLease()
	if err := outlived.Release(); err != nil {
		t.Fatal(err)
	}
	g, done, err := outlived.Use(t.Context())
	if err != nil || g != gateway.Current() {
		t.Fatalf("the gateway is %p, want %p, error %v", g, gateway.Current(), err)
	}
	leave := sync.OnceFunc(done)
	defer leave()
	stopped := make(chan error, 1)
	go func() { stopped <- caddy.Stop() }()
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(commandtest.WaitTimeout):
		t.Error("Caddy does not stop")
		leave()
		<-stopped
	}
}

// A look at changed files that is under way when the configuration is replaced
// does not put the old configuration's settings back, nor hold the new one up.
func TestReloadWhileSettingsAreAdopted(t *testing.T) {
	shorten(t, &gateway.AdoptGrace, 10*time.Millisecond)
	a := newGatedSite(t)
	q := gateway.Current().Queue().(*gated)
	before := q.adopted.Load()
	release := adoptGate.shut(nil)
	defer release()
	accepted(t, a.site, "note-1") // the first event has the files checked
	<-adoptGate.reached
	adoptGate.shut(nil)() // for the adoptions that begin from now on

	a.run(a.gatedApp(), soapnoteTo("ehr"))
	release()
	eventually(t, "the new configuration's settings to be in force", func() bool {
		return q.adopting.Load() == 0 && q.adopted.Load() != before
	})
}
