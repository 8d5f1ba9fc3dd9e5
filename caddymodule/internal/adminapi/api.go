package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func init() {
	caddy.RegisterModule(API{})
}

// API is the part of Caddy's admin API under /scribegate/. It returns the ids, subjects
// and states of events, and payloads only if the configuration allows it.
type API struct {
	logger   *zap.Logger
	audit    audit.Trail
	operator operate.Operator
}

// CaddyModule returns the Caddy module information.
func (API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.scribegate",
		New: func() caddy.Module { return new(API) },
	}
}

// Provision sets the routes up.
func (a *API) Provision(ctx caddy.Context) error {
	a.logger, a.audit = logging.Logger(ctx, a), audit.New(logging.Audit(ctx))
	a.operator = operate.Operator{Logger: a.logger, Audit: a.audit}
	return nil
}

// Routes implements caddy.AdminRouter.
func (a *API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: admin.Prefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

var (
	errMethod  = admin.Error{Status: http.StatusMethodNotAllowed, Text: "method not allowed"}
	errNoRoute = admin.Error{Status: http.StatusNotFound, Text: "unknown path"}
)

// serve answers the request, with errors too: Caddy would log an error that is
// returned to it with the request.
func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	rt, err := a.find(r)
	if errors.Is(err, errMethod) {
		w.Header().Set("Allow", rt.Method)
	}
	var result any
	var lines *progressLines
	if err == nil {
		var report queue.Progress // nil without a client for it, so that the queue need not count
		if rt.wantsLines(r) {
			lines = newProgressLines(w)
			defer lines.close()
			report = lines.report
		}
		result, err = a.answer(rt, r, report)
	}
	if bytes, ok := result.(byteAnswer); ok {
		if err = bytes.send(w); err == nil {
			return nil
		}
	}
	if err != nil {
		result = errorBody(err)
	}
	body, marshalErr := json.Marshal(result)
	if marshalErr != nil {
		err, body = marshalErr, []byte(`{"error":"encoding the answer failed"}`)
	}
	body = append(body, '\n')
	if lines != nil && (err == nil || lines.begun) {
		lines.write(body)
		return nil
	}
	status := http.StatusOK
	if err != nil {
		status = statusOf(err)
	}
	receive.WriteJSON(w, status, body)
	return nil
}

func (a *API) answer(rt route, r *http.Request, report queue.Progress) (any, error) {
	if rt.alone {
		return rt.answer(r.Context(), gateway.Current(), r, report)
	}
	g := gateway.Await(r.Context())
	if g == nil {
		return nil, fmt.Errorf("%w; does its configuration define an upstream?", gateway.ErrNotRunning)
	}
	return rt.answer(r.Context(), g, r, report)
}

// errorBody returns the answer to a request that failed.
func errorBody(err error) any {
	if h, ok := errors.AsType[admin.Health](err); ok {
		return h
	}
	return admin.ErrorBody{Error: err.Error()}
}

func statusOf(err error) int {
	var e admin.Error
	switch {
	case errors.As(err, &e):
		return e.Status
	case errors.As(err, new(admin.Health)), errors.As(err, new(gateway.Unanswered)):
		return http.StatusServiceUnavailable
	case errors.Is(err, queue.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, gateway.ErrNoAudit):
		return http.StatusNotImplemented
	case errors.Is(err, queue.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, queue.ErrNoPayload), errors.Is(err, queue.ErrPending), errors.Is(err, queue.ErrBusy), errors.Is(err, queue.ErrUnrouted):
		return http.StatusConflict
	case errors.Is(err, gateway.ErrNotRunning), errors.Is(err, queue.ErrClosed), errors.Is(err, queue.ErrUnavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func (a *API) status(_ context.Context, g *gateway.Gateway, _ *http.Request, _ queue.Progress) (any, error) {
	return g.Status(time.Now())
}

// Interface guards
var (
	_ caddy.AdminRouter = (*API)(nil)
	_ caddy.Provisioner = (*API)(nil)
)
