package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func init() {
	caddy.RegisterModule(Admin{})
}

// Admin is the part of Caddy's admin API under /scribegate/. It tells of events
// by their ids and states only.
type Admin struct {
	logger *zap.Logger
	audit  audit
}

// CaddyModule returns the Caddy module information.
func (Admin) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.scribegate",
		New: func() caddy.Module { return new(Admin) },
	}
}

// Provision sets the routes up.
func (a *Admin) Provision(ctx caddy.Context) error {
	a.logger, a.audit = ctx.Logger(a), newAudit(ctx)
	return nil
}

const adminPrefix = "/scribegate/"

// Routes implements caddy.AdminRouter.
func (a *Admin) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPrefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// adminError is an error with the status that the admin API answers.
type adminError struct {
	status int
	text   string
}

func (e adminError) Error() string { return e.text }

var errMethod = adminError{http.StatusMethodNotAllowed, "method not allowed"}

func badRequest(format string, args ...any) error {
	return adminError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// serve answers by itself, errors too: an error returned to Caddy would be
// logged with the request.
func (a *Admin) serve(w http.ResponseWriter, r *http.Request) error {
	var lines *progressLines
	var told queue.Progress // nil, where nobody wants to know, spares the queue the counting
	if wantsLines(r) {
		lines = newProgressLines(w)
		defer lines.close()
		told = lines.tell
	}
	result, err := a.route(r, told)
	if err != nil && result == nil {
		result = map[string]string{"error": err.Error()}
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
		status = adminStatus(err)
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allowed(r.URL.Path))
	}
	writeJSON(w, status, body)
	return nil
}

func adminStatus(err error) int {
	var e adminError
	switch {
	case errors.As(err, &e):
		return e.status
	case errors.Is(err, queue.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, queue.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, queue.ErrNoPayload), errors.Is(err, queue.ErrBusy):
		return http.StatusConflict
	case errors.Is(err, errNotRunning), errors.Is(err, queue.ErrClosed):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// allowed returns the method of a path.
func allowed(path string) string {
	switch strings.TrimPrefix(path, adminPrefix) {
	case "replay", "purge", "compact":
		return http.MethodPost
	}
	return http.MethodGet
}

// An answerer answers a request for a gateway.
type answerer func(context.Context, *gateway, *http.Request) (any, error)

// A work is an answerer that may take long, and tells how far it has come.
type work func(context.Context, *gateway, *http.Request, queue.Progress) (any, error)

func (w work) telling(told queue.Progress) answerer {
	return func(ctx context.Context, g *gateway, r *http.Request) (any, error) {
		return w(ctx, g, r, told)
	}
}

// route finds what answers a request. Work that takes long is told of as it goes
// on.
func (a *Admin) route(r *http.Request, told queue.Progress) (any, error) {
	path := strings.TrimPrefix(r.URL.Path, adminPrefix)
	parts := strings.Split(path, "/")
	if path == "health/live" || path == "health/ready" {
		return a.health(r, parts[1])
	}
	var answer answerer
	switch {
	case path == "status":
		answer = a.status
	case path == "events":
		answer = a.events
	case parts[0] == "events" && len(parts) == 2 && parts[1] != "":
		answer = a.event
	case parts[0] == "events" && len(parts) == 3 && parts[2] == "payload":
		answer = a.payload
	case path == "replay":
		answer = work(a.replay).telling(told)
	case path == "purge":
		answer = work(a.purge).telling(told)
	case path == "compact":
		answer = work(a.compact).telling(told)
	default:
		return nil, adminError{http.StatusNotFound, "there is nothing at this path"}
	}
	if r.Method != allowed(r.URL.Path) {
		return nil, errMethod
	}
	g := currentGateway()
	if g == nil {
		return nil, fmt.Errorf("%w; does its configuration define an upstream?", errNotRunning)
	}
	return answer(r.Context(), g, r)
}

func (a *Admin) status(_ context.Context, g *gateway, r *http.Request) (any, error) {
	if err := onlyParameters(r.URL.Query()); err != nil {
		return nil, err
	}
	return g.status(time.Now())
}

// onlyParameters refuses query parameters that mean nothing here.
func onlyParameters(query url.Values, known ...string) error {
	for name := range query {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return badRequest("the query parameter %q means nothing here", name)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.AdminRouter = (*Admin)(nil)
	_ caddy.Provisioner = (*Admin)(nil)
)
