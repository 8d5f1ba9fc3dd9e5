package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
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
	a.logger, a.audit = ctx.Logger(), newAudit(ctx)
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
	result, err := a.route(r)
	if err != nil && result == nil {
		result = map[string]string{"error": err.Error()}
	}
	body, marshalErr := json.Marshal(result)
	if marshalErr != nil {
		err, body = marshalErr, []byte(`{"error":"encoding the answer failed"}`)
	}
	status := http.StatusOK
	if err != nil {
		status = adminStatus(err)
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allowed(r.URL.Path))
	}
	writeJSON(w, status, append(body, '\n'))
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

// route finds what answers a request.
func (a *Admin) route(r *http.Request) (any, error) {
	path := strings.TrimPrefix(r.URL.Path, adminPrefix)
	parts := strings.Split(path, "/")
	if path == "health/live" || path == "health/ready" {
		return a.health(r, parts[1])
	}
	var answer func(context.Context, *gateway, *http.Request) (any, error)
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
		answer = a.replay
	case path == "purge":
		answer = a.purge
	case path == "compact":
		answer = a.compact
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

// defaultLimit and maxLimit bound a page of events.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func (a *Admin) events(ctx context.Context, g *gateway, r *http.Request) (any, error) {
	query := r.URL.Query()
	if err := onlyParameters(query, "state", "upstream", "limit", "cursor", "history"); err != nil {
		return nil, err
	}
	f := queue.Filter{
		State:    queue.State(query.Get("state")),
		Upstream: query.Get("upstream"),
		Limit:    defaultLimit,
		Cursor:   query.Get("cursor"),
	}
	switch f.State {
	case "", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined:
	default:
		return nil, badRequest("state %q is unknown; it is pending, delivered, dead or quarantined", f.State)
	}
	if limit := query.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxLimit {
			return nil, badRequest("limit must be a whole number from 1 to %d", maxLimit)
		}
		f.Limit = n
	}
	history := query.Get("history")
	if history != "" && history != "true" && history != "false" {
		return nil, badRequest("history must be true or false")
	}
	if err := g.knownUpstream(f.Upstream); err != nil {
		return nil, err
	}
	page, err := g.queue.Events(ctx, f)
	if err != nil {
		return nil, err
	}
	out := eventPage{Events: make([]eventRecord, len(page.Records)), NextCursor: page.Next}
	for i, rec := range page.Records {
		out.Events[i] = newEventRecord(rec, history == "true")
	}
	return out, nil
}

// knownUpstream is an error unless the name is empty, configured, or one that
// events are left of.
func (g *gateway) knownUpstream(name string) error {
	if name == "" {
		return nil
	}
	if c := g.configuration(); c != nil && c.upstream(name) != nil {
		return nil
	}
	stats, err := g.queue.Stats()
	if err != nil {
		return err
	}
	if _, ok := stats.Upstreams[name]; ok {
		return nil
	}
	return badRequest("upstream %q is unknown", name)
}

func (a *Admin) event(ctx context.Context, g *gateway, r *http.Request) (any, error) {
	rec, err := g.queue.Event(ctx, strings.TrimPrefix(r.URL.Path, adminPrefix+"events/"))
	if err != nil {
		return nil, err
	}
	return newEventRecord(rec, true), nil
}

func (a *Admin) payload(ctx context.Context, g *gateway, r *http.Request) (any, error) {
	id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, adminPrefix+"events/"), "/payload")
	if c := g.configuration(); c == nil || !c.AdminPayloads {
		return nil, adminError{http.StatusForbidden, "payloads are not handed out; put admin_payloads into the scribegate block to allow it"}
	}
	e, err := g.queue.Payload(ctx, id)
	if err != nil {
		return nil, err
	}
	rec, err := g.queue.Event(ctx, id)
	if err != nil {
		return nil, err
	}
	a.audit.payloadRead(rec, r)
	a.logger.Warn("a payload was read through the admin API", zap.String("event_id", id), zap.String("remote", r.RemoteAddr))
	return newPayload(e, rec.Quarantined), nil
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
