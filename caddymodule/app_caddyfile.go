package caddymodule

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/route"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("scribegate", parseGlobalOption)
}

// parseGlobalOption reads the global option into the app.
func parseGlobalOption(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // the option's name
	if existing != nil {
		return nil, d.Err("scribegate: the global option is given twice; put everything into one block")
	}
	app := new(App)
	if err := app.UnmarshalCaddyfile(d.NewFromNextSegment()); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

// UnmarshalCaddyfile reads:
//
//	scribegate {
//		queue <engine> {
//			...
//		}
//		dedupe_window <duration>
//		dead_retention <duration>
//		history_retention <duration>
//		keep_delivered <duration>
//		signing_secret <secret>...
//		admin_payloads
//		upstream <name> [<url>] {
//			...
//		}
//	}
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.Err("scribegate: the global option takes no argument; put its options into its block")
	}
	seen := make(syntax.Seen)
	for d.NextBlock(0) {
		if d.Val() != "upstream" {
			if err := seen.Once(d, "scribegate"); err != nil {
				return err
			}
		}
		if err := a.unmarshalSubdirective(d); err != nil {
			return err
		}
	}
	return nil
}

// What the blocks know.
var (
	appSubdirectives = []string{
		"queue", "dedupe_window", "dead_retention", "history_retention",
		"keep_delivered", "signing_secret", "admin_payloads", "upstream",
	}
	upstreamSubdirectives = []string{
		"events", "format", "timeout", "concurrency", "retry", "rate_limit", "signing_secret", "route",
	}
)

func (a *App) unmarshalSubdirective(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "queue":
		return a.unmarshalQueue(d)
	case "dedupe_window":
		a.DedupeWindow, err = syntax.PositiveDurationArg(d)
	case "dead_retention":
		a.DeadRetention, err = syntax.PositiveDurationArg(d)
	case "history_retention":
		var v caddy.Duration
		v, err = syntax.DurationArg(d)
		a.HistoryRetention = &v
	case "keep_delivered":
		a.KeepDelivered, err = syntax.DurationArg(d)
	case "signing_secret":
		a.SigningSecrets, err = secretArgs(d, checkSigningSecret)
	case "admin_payloads":
		if d.NextArg() {
			return syntax.UsageErr(d, "admin_payloads")
		}
		a.AdminPayloads = true
	case "upstream":
		return a.unmarshalUpstream(d)
	default:
		return syntax.UnknownErr(d, "scribegate", appSubdirectives...)
	}
	if err == nil {
		err = wrapErr(d, a.checkDurations())
	}
	return err
}

// engineNamespace is where queue engines are registered.
const engineNamespace = "scribegate.queues."

func (a *App) unmarshalQueue(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return syntax.UsageErr(d, "queue <engine> { ... }")
	}
	engine := d.Val()
	if err := checkEngine(engine); err != nil {
		return d.WrapErr(err)
	}
	if _, err := caddy.GetModule(engineNamespace + engine); err != nil {
		return d.Errf("queue: unknown engine%s; this Caddy has %s", syntax.Quote(engine), builtIn(engineNamespace))
	}
	unm, err := caddyfile.UnmarshalModule(d, engineNamespace+engine)
	if err != nil {
		return err
	}
	a.QueueRaw = caddyconfig.JSONModuleObject(unm, "engine", engine, nil)
	return nil
}

func (a *App) unmarshalUpstream(d *caddyfile.Dispenser) error {
	u := new(Upstream)
	if !d.NextArg() {
		return syntax.UsageErr(d, upstreamUsage)
	}
	u.Name = d.Val()
	if err := u.checkName(a.Upstreams); err != nil {
		return d.WrapErr(err)
	}
	if d.NextArg() {
		u.URL = d.Val()
		if err := checkSetting(u.URL); err != nil {
			return d.Errf("upstream %s: its URL: %v", u.Name, err)
		}
		if !strings.Contains(u.URL, "{") {
			if _, err := parseTarget(u.URL); err != nil {
				return d.Errf("upstream %s: %v", u.Name, err)
			}
		}
	}
	if d.NextArg() {
		return syntax.UsageErr(d, upstreamUsage)
	}
	name := d.Token()
	seen := make(syntax.Seen)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := seen.Once(d, "upstream "+u.Name); err != nil {
			return err
		}
		if err := u.unmarshalOption(d); err != nil {
			return err
		}
		if err := u.check(); err != nil {
			return d.WrapErr(err)
		}
	}
	if err := u.checkWhole(); err != nil {
		return syntax.ErrAt(name, "%w", err)
	}
	a.Upstreams = append(a.Upstreams, u)
	return nil
}

const upstreamUsage = "upstream <name> [<url>] { ... }"

func (u *Upstream) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "events":
		if u.Events = d.RemainingArgs(); len(u.Events) == 0 {
			return syntax.UsageErr(d, "events <type>...")
		}
	case "format":
		u.Format, err = formatArg(d)
	case "timeout":
		u.Timeout, err = syntax.PositiveDurationArg(d)
	case "concurrency":
		u.Concurrency, err = syntax.CountArg(d)
	case "retry":
		args := d.RemainingArgs()
		if len(args) == 0 {
			return syntax.UsageErr(d, "retry <wait>...")
		}
		for _, arg := range args {
			wait, err := syntax.ParseDuration(arg)
			if err != nil {
				return d.Errf("retry: %v", err)
			}
			u.Retry = append(u.Retry, wait)
		}
	case "rate_limit":
		var arg string
		if !d.AllArgs(&arg) {
			return syntax.UsageErr(d, "rate_limit <deliveries per second>")
		}
		u.RateLimit, err = strconv.ParseFloat(arg, 64)
		if err != nil || u.RateLimit == 0 {
			return d.Errf("rate_limit: %q is not a number above zero; write the deliveries per second, or leave it out for no limit%s", arg, syntax.PlaceholderHint(arg))
		}
	case "signing_secret":
		u.SigningSecrets, err = secretArgs(d, checkSigningSecret)
	case "route":
		u.Routes, err = route.Parse(d, u.Name)
	default:
		return syntax.UnknownErr(d, "upstream "+u.Name, upstreamSubdirectives...)
	}
	return err
}

// parsedApp returns what the global option said, for the handlers of the same
// Caddyfile. Without the option it is empty.
func parsedApp(h httpcaddyfile.Helper) (*App, error) {
	app := new(App)
	option, ok := h.Option(appName).(httpcaddyfile.App)
	if !ok {
		return app, nil
	}
	if err := json.Unmarshal(option.Value, app); err != nil {
		return nil, fmt.Errorf("reading the scribegate global option: %w", err)
	}
	return app, nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*App)(nil)
