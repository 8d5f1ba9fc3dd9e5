package adminapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// appName is the id of Scribegate's app.
const appName = "scribegate"

// A deliverer is Scribegate's app.
type deliverer interface {
	// Delivers reports whether an upstream is configured, so that a queue is needed.
	Delivers() bool
}

// live answers that the process runs.
func (a *API) live(context.Context, *gateway.Gateway, *http.Request, queue.Progress) (any, error) {
	return admin.Health{Status: "ok"}, nil
}

// ready answers whether an event could be stored now.
func (a *API) ready(_ context.Context, g *gateway.Gateway, _ *http.Request, _ queue.Progress) (any, error) {
	if err := ready(g); err != nil {
		return nil, admin.Health{Status: "unavailable", Reason: err.Error()}
	}
	return admin.Health{Status: "ok"}, nil
}

// ready returns an error if an event could not be stored now. A configuration without
// upstreams stores nothing and needs no queue.
func ready(g *gateway.Gateway) error {
	if g == nil {
		active := caddy.ActiveContext()
		if active.Context == nil {
			return errors.New("no configuration is running")
		}
		if app, err := active.AppIfConfigured(appName); err == nil && app.(deliverer).Delivers() {
			return errors.New("the queue is not open")
		}
		return nil
	}
	return g.Ready()
}
