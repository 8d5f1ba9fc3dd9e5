package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/credentials"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/caddymodule/internal/notify"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/caddymodule/internal/sites"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func init() {
	caddy.RegisterModule(App{})
}

const appName = "scribegate"

// App stores received events durably, and delivers each to its upstreams until they
// accept it.
type App struct {
	// The engine that stores events from their receipt to their last delivery.
	// Default: `sqlite`, a file in Caddy's data directory.
	QueueRaw json.RawMessage `json:"queue,omitempty" caddy:"namespace=scribegate.queues inline_key=engine"`

	// How long the id of an event is remembered, so that the same event is a
	// duplicate. It must be at least twice the tolerance of each handler, since a
	// captured request could be sent again for that long. Default: 24h.
	DedupeWindow caddy.Duration `json:"dedupe_window,omitempty"`

	// How long dead, quarantined, unrouted and unconfirmed events are kept. Default:
	// 14d.
	DeadRetention caddy.Duration `json:"dead_retention,omitempty"`

	// How long the records of delivered events are kept, without payload.
	// Default: 72h.
	HistoryRetention *caddy.Duration `json:"history_retention,omitempty"`

	// How long payloads stay after the last delivery, for replay. Default:
	// 0, not at all.
	KeepDelivered caddy.Duration `json:"keep_delivered,omitempty"`

	// The Standard Webhooks secrets that sign deliveries. Each secret adds a
	// signature. Placeholders `{env.*}` and `{file.*}` keep the secrets out of the
	// configuration. Default: none; deliveries are not signed.
	SigningSecrets []string `json:"signing_secrets,omitempty"`

	// Whether the admin API returns payloads. Default: false.
	AdminPayloads bool `json:"admin_payloads,omitempty"`

	// The backends that receive events. Handlers refer to them by name.
	Upstreams []*Upstream `json:"upstreams,omitempty"`

	ctx         caddy.Context
	logs        *logging.Logs
	logger      *zap.Logger
	engine      Engine
	keys        func() []forwarder.SigningKey
	handlers    []*Handler // that deliver
	credentials *credentials.Set
	apis        []results.API // of the providers with an api_key
	apiClients  []apiClient
	unrouted    *typeSet // for which a warning was logged
	observer    *gateway.Observer
	lease       *gateway.Lease
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scribegate",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision checks the configuration and loads the modules in it. It opens and starts
// nothing, since `caddy validate` calls it too.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logs, a.logger, a.lease = ctx, logging.Of(ctx), logging.Configuration(ctx), gateway.NewLease()
	a.credentials, a.unrouted = credentials.New(a.logger), new(typeSet)
	if err := a.checkDurations(); err != nil {
		return err
	}
	a.setDefaults()
	if err := checkEngine(engineName(a.QueueRaw)); err != nil {
		return err
	}
	engine, err := ctx.LoadModule(a, "QueueRaw")
	if err != nil {
		return fmt.Errorf("loading the queue engine: %w", err)
	}
	var ok bool
	if a.engine, ok = engine.(Engine); !ok {
		return fmt.Errorf("the module %T is not a queue engine", engine)
	}
	a.keys = func() []forwarder.SigningKey { return nil }
	if len(a.SigningSecrets) > 0 {
		if a.keys, err = signingKeys(ctx, "signing_secret", a.SigningSecrets, a.logger); err != nil {
			return err
		}
	}
	for i, u := range a.Upstreams {
		if u == nil {
			return errors.New("upstreams: one of them is null; remove it")
		}
		if err := u.checkName(a.Upstreams[:i]); err != nil {
			return err
		}
		if err := u.provision(ctx, a.logger); err != nil {
			return err
		}
		warnUnknownTypes(a.logger, "events", u.Events, zap.String("upstream", u.Name))
	}
	a.warnUnlikely()
	if a.Delivers() {
		a.logs.AwaitChain()
	}
	metrics.Register(ctx.GetMetricsRegistry(), gateway.Collector{})
	logging.SilenceUpstreams()
	events, err := notify.New(ctx)
	if err != nil {
		return err
	}
	a.observer = &gateway.Observer{Logger: logging.Logger(ctx), Audit: audit.New(logging.Audit(ctx)), Notify: events.Emit}
	return nil
}

// checkDurations returns an error for a negative duration.
func (a *App) checkDurations() error {
	var history caddy.Duration
	if a.HistoryRetention != nil {
		history = *a.HistoryRetention
	}
	return cmp.Or(
		nonNegative("dedupe_window", a.DedupeWindow), nonNegative("dead_retention", a.DeadRetention),
		nonNegative("history_retention", history), nonNegative("keep_delivered", a.KeepDelivered),
	)
}

func (a *App) setDefaults() {
	if a.QueueRaw == nil {
		a.QueueRaw = json.RawMessage(`{"engine":"sqlite"}`)
	}
	defaults := queue.DefaultSettings()
	if a.HistoryRetention == nil {
		a.HistoryRetention = (*caddy.Duration)(&defaults.HistoryRetention)
	}
	a.DedupeWindow = cmp.Or(a.DedupeWindow, caddy.Duration(defaults.DedupeWindow))
	a.DeadRetention = cmp.Or(a.DeadRetention, caddy.Duration(defaults.DeadRetention))
}

// gatewayConfig returns the gateway's configuration. The app must have been provisioned.
func (a *App) gatewayConfig() *gateway.Config {
	upstreams := make([]forwarder.Upstream, len(a.Upstreams))
	for i, u := range a.Upstreams {
		upstreams[i] = u.settings(a)
	}
	return &gateway.Config{
		Engine: a.engine,
		Settings: queue.Settings{
			MaxSize:          a.engine.MaxSize(),
			DedupeWindow:     time.Duration(a.DedupeWindow),
			DeadRetention:    time.Duration(a.DeadRetention),
			HistoryRetention: time.Duration(*a.HistoryRetention),
			KeepDelivered:    time.Duration(a.KeepDelivered),
		},
		Upstreams:   upstreams,
		APIs:        a.apis,
		APIObserver: &results.Observer{Logger: a.observer.Logger, Audit: a.observer.Audit},
		Observer:    a.observer,
		Logger:      a.logger,
		Traced:      sites.Traced(a.ctx),
		Route:       a.route,
		Item:        a.item,
		EndAudit: func() {
			a.observer.Audit.Stopped()
			a.logs.FlushAudit()
		},
		StoreTimeout:  currentLimits().store,
		AdminPayloads: a.AdminPayloads,
	}
}

// Start opens the queue, or shares the queue that the previous configuration has open. The
// app delivers as soon as the previous configuration has stopped.
func (a *App) Start() error {
	if !a.Delivers() {
		return nil // handlers without deliver_to store nothing
	}
	a.warnUnused()
	sites.Warn(a.ctx, a.logger, endpoint)
	gateway.EndDespiteLog()
	err := a.lease.Acquire(a.gatewayConfig())
	a.logs.SetChain(a.lease.Trail())
	return err
}

// Stop ends this configuration's deliveries. The queue stays open: requests that are
// still in their handlers store their events.
func (a *App) Stop() error {
	a.lease.Deactivate()
	return nil
}

// Cleanup releases the queue, if this configuration acquired it, and closes the idle
// connections to its upstreams. Attempts in flight continue.
func (a *App) Cleanup() error {
	for _, u := range a.Upstreams {
		if u == nil {
			continue // refused when it was provisioned
		}
		if closer, ok := u.sender.(interface{ Close() }); ok {
			closer.Close()
		}
	}
	for _, c := range a.apiClients {
		c.client.Close()
	}
	if a.lease == nil {
		return nil // not provisioned
	}
	a.logs.SetChain(nil) // if it was not started
	defer a.logs.Flush()
	return a.lease.Release()
}

// Delivers reports whether an upstream is configured. Without one no queue is opened.
func (a *App) Delivers() bool { return len(a.Upstreams) > 0 }

// upstream returns the upstream of that name, or nil.
func (a *App) upstream(name string) *Upstream {
	for _, u := range a.Upstreams {
		if u.Name == name {
			return u
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
