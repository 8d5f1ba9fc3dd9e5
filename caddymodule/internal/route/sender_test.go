package route

import (
	"context"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder"
)

// A route does not run on for long after its status, and at most as many run on as there may
// be attempts at once.
func TestSenderBoundsRoutesThatRunOn(t *testing.T) {
	under := make(chan struct{}, 10)
	ended := make(chan error, 10)
	sender := &Sender{
		name: "ehr", server: &caddyhttp.Server{}, draining: make(chan struct{}, 1), workers: forwarder.NewWorkers(),
		handler: caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			w.WriteHeader(http.StatusOK)
			under <- struct{}{}
			<-r.Context().Done()
			ended <- context.Cause(r.Context())
			return nil
		}),
	}
	m := &forwarder.Message{Header: make(http.Header), Body: []byte("{}")}
	for range 3 {
		if a, err := sender.Send(t.Context(), m); err != nil || a.Status != http.StatusOK {
			t.Fatalf("answer %+v, %v", a, err)
		}
		<-under
	}
	for range 3 {
		<-ended
	}
	commandtest.WaitUntil(t, "the token to be returned", func() bool { return len(sender.draining) == 0 })
}
