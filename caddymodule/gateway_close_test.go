package caddymodule

import (
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

// A handler that never leaves a gateway does not prevent Caddy from stopping.
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
