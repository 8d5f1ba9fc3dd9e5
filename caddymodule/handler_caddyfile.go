package caddymodule

import (
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/verifier"
)

func init() {
	httpcaddyfile.RegisterHandlerDirective("scribegate", parseDirective)
	// Before handle, so that it is not hidden behind a site's catch-alls.
	httpcaddyfile.RegisterDirectiveOrder("scribegate", httpcaddyfile.Before, "handle")
}

// parseDirective parses the directive. With the whole Caddyfile at hand it also checks
// whether the upstreams of deliver_to are defined.
func parseDirective(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	app, err := parsedApp(helper)
	if err != nil {
		return nil, err
	}
	h := new(Handler)
	if err := h.unmarshal(helper.Dispenser, app); err != nil {
		return nil, err
	}
	return h, nil
}

// UnmarshalCaddyfile reads:
//
//	scribegate [<matcher>] <provider> {
//		deliver_to <upstream>...
//		drop <type>...
//		max_body <size>
//		metadata <parameter>...
//		source <uri>
//		format structured|binary|raw
//		<the provider's own subdirectives>
//	}
//
// Checks that need the app, such as whether the upstreams are defined, are made when the
// handler is provisioned.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return h.unmarshal(d, nil)
}

// unmarshal parses the directive. app is nil if it is not known.
func (h *Handler) unmarshal(d *caddyfile.Dispenser, app *App) error {
	d.Next() // the directive's name
	if !d.NextArg() {
		return d.Errf("scribegate: the provider is missing; write it after the path: %s", builtIn(build.ProviderNamespace))
	}
	provider := d.Token()
	if _, err := caddy.GetModule(build.ProviderNamespace + provider.Text); err != nil {
		return d.Errf("scribegate: unknown provider%s; known are %s", syntax.Quote(provider.Text), builtIn(build.ProviderNamespace))
	}
	if d.NextArg() {
		return syntax.UsageErr(d, "scribegate [<matcher>] <provider> { ... }")
	}
	// Subdirectives that are not the handler's belong to the provider. They are
	// passed to it as a block of their own, in the braces of this block.
	own := []caddyfile.Token{provider}
	if d.Next() {
		own = append(own, d.Token())
		d.Prev()
	}
	block := len(own) > 1
	seen := make(syntax.Seen)
	drop := *d // the position of drop, for its error
	for d.NextBlock(0) {
		name := d.Val()
		if slices.Contains(handlerSubdirectives, name) {
			if err := seen.Once(d, "scribegate"); err != nil {
				return err
			}
		}
		var err error
		switch name {
		case "deliver_to":
			if h.DeliverTo = d.RemainingArgs(); len(h.DeliverTo) == 0 {
				err = syntax.UsageErr(d, "deliver_to <upstream>...")
			} else if app != nil {
				err = wrapErr(d, h.checkUpstreams(app))
			}
		case "drop":
			drop = *d
			if h.Drop = d.RemainingArgs(); len(h.Drop) == 0 {
				err = syntax.UsageErr(d, "drop <type>...")
			}
		case "max_body":
			h.MaxBody, err = syntax.SizeArg(d)
		case "metadata":
			if h.Metadata = d.RemainingArgs(); len(h.Metadata) == 0 {
				err = syntax.UsageErr(d, "metadata <parameter>...")
			}
		case "source":
			err = h.unmarshalSource(d)
		case "format":
			h.Format, err = formatArg(d)
		default:
			own = append(own, d.NextSegment()...)
			continue
		}
		if err == nil {
			err = wrapErr(d, h.check())
		}
		if err != nil {
			return err
		}
	}
	if err := h.checkDrop(); err != nil {
		return drop.WrapErr(err)
	}
	if block {
		own = append(own, d.Token())
	}
	return h.unmarshalProvider(caddyfile.NewDispenser(own), app)
}

// handlerSubdirectives are the handler's own subdirectives, for every provider.
var handlerSubdirectives = []string{"deliver_to", "drop", "max_body", "metadata", "source", "format"}

func (h *Handler) unmarshalSource(d *caddyfile.Dispenser) error {
	if !d.AllArgs(&h.Source) || h.Source == "" {
		return syntax.UsageErr(d, "source <uri>")
	}
	if err := checkSetting(h.Source); err != nil {
		return d.Errf("source: %v", err)
	}
	if strings.Contains(h.Source, "{") {
		return nil // its value is known when the configuration is loaded
	}
	return wrapErr(d, checkSource(h.Source))
}

func (h *Handler) unmarshalProvider(d *caddyfile.Dispenser, app *App) error {
	d.Next()
	name, directive := d.Val(), *d // the errors below are about the whole directive
	unm, err := caddyfile.UnmarshalModule(d, build.ProviderNamespace+name)
	if err != nil {
		return err
	}
	if app != nil && len(h.DeliverTo) > 0 {
		if err := app.checkDedupeWindow(unm); err != nil {
			return directive.WrapErr(err)
		}
	}
	if err := h.checkResults(unm, app); err != nil {
		return directive.WrapErr(err)
	}
	if _, ok := unm.(verifier.Provider); !ok {
		return directive.Errf("scribegate: the module %s is not a provider", name)
	}
	h.ProviderRaw = caddyconfig.JSONModuleObject(unm, "name", name, nil)
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Handler)(nil)
