package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// check returns an error for settings that cannot be right. Those that are not set yet
// are not missed, so that a parser can check each setting when it has read it. Source
// is checked on its own, since it may have placeholders.
func (h *Handler) check() error {
	if h.MaxBody < 0 || h.MaxBody > receive.MaxBody {
		return errors.New("max_body: it must be at most 32MiB")
	}
	if err := checkMetadata(h.Metadata); err != nil {
		return err
	}
	if err := forwarder.Filter(h.Drop).Validate(); err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	for i, name := range h.DeliverTo {
		if slices.Contains(h.DeliverTo[:i], name) {
			return fmt.Errorf("deliver_to: it names the upstream %s twice; name each once", name)
		}
	}
	if h.Format != "" && len(h.DeliverTo) > 0 {
		return errors.New("format cannot be used with deliver_to; set it in the blocks of the upstreams")
	}
	return checkFormat(h.Format)
}

// checkDrop returns an error for a checkpoint with `drop`.
func (h *Handler) checkDrop() error {
	if len(h.Drop) > 0 && len(h.DeliverTo) == 0 {
		return errors.New("drop needs deliver_to: without it every event is passed on to the next handler and none is stored; add deliver_to, or remove drop")
	}
	return nil
}

// checkUpstreams returns an error unless the app has each upstream of deliver_to.
func (h *Handler) checkUpstreams(app *App) error {
	for _, name := range h.DeliverTo {
		if app.upstream(name) == nil {
			return fmt.Errorf("deliver_to: the upstream %s is not defined; define it in the scribegate app, which is a global option in a Caddyfile%s", name, syntax.PlaceholderHint(name))
		}
	}
	return nil
}

// checkDedupeWindow returns an error if the window is too short for a TolerantProvider.
func (a *App) checkDedupeWindow(provider any) error {
	p, ok := provider.(TolerantProvider)
	if !ok {
		return nil
	}
	window := time.Duration(cmp.Or(a.DedupeWindow, caddy.Duration(queue.DefaultSettings().DedupeWindow)))
	if needed := 2 * p.RequestTolerance(); window < needed {
		return fmt.Errorf("dedupe_window is %s and must be at least %s, twice the tolerance of this handler: a captured request could be sent again for that long", window, needed)
	}
	return nil
}

// checkResults returns an error if the handler cannot use the API of its provider. app may
// be nil where it is not known.
func (h *Handler) checkResults(provider any, app *App) error {
	p, ok := provider.(resultSettings)
	if !ok {
		return nil
	}
	s := p.results()
	if !s.fetch {
		return nil
	}
	if len(h.DeliverTo) == 0 {
		return fmt.Errorf("%s: api_key needs deliver_to: a checkpoint stores nothing, so nothing could be fetched before the delivery; add deliver_to, or remove api_key", s.provider)
	}
	if !s.deletes || app == nil {
		return nil
	}
	for _, name := range h.DeliverTo {
		if u := app.upstream(name); u != nil && u.Format == forwarder.Raw {
			return fmt.Errorf("%s: delete_after_delivery cannot be used with upstream %s, which has the format raw: it never receives the transcript that is deleted; remove one of them", s.provider, name)
		}
	}
	return nil
}

// resultSettings is a provider with settings of its REST API.
type resultSettings interface {
	// results returns the settings that the handler checks. It is also called before
	// Provision, when the Caddyfile has been read.
	results() resultOptions

	// settings returns the settings of the API, and api what the gateway does with it.
	settings() *API
	api(h *Handler, client *rest.Client) results.API
}

// resultOptions are what a handler must know of its provider's API.
type resultOptions struct {
	provider  string
	fetch     bool                                   // whether there is an api_key
	deletes   bool                                   // whether results are deleted after delivery
	stages    []func(provider, source string) string // the names of the stages of an event
	remembers string                                 // an option that needs the records of delivered events, or ""
	identity  string                                 // differs if two handlers have different settings
}

// checkSource returns an error for a source that cannot be an event's: it is a URI in
// printable ASCII, since it becomes a header in the binary format.
func checkSource(source string) error {
	if source == "" {
		return nil
	}
	for _, c := range []byte(source) {
		if c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return errors.New("source must be a URI in printable ASCII, as in https://soapnoteapi.com/clinic-2")
		}
	}
	if u, err := url.Parse(source); err != nil || u.String() == "" {
		return errors.New("source is not a URI; write it as in https://soapnoteapi.com/clinic-2")
	}
	return nil
}

// checkMetadata returns an error for what cannot be the name of a query parameter, such
// as what only a list with commas is made of.
func checkMetadata(names []string) error {
	for _, name := range names {
		switch {
		case name == "":
			return errors.New("metadata: a name is empty; write the names of query parameters, or leave metadata out to keep all")
		case name == "*":
			return errors.New("metadata: * is not a wildcard; leave metadata out to keep all parameters")
		case strings.Contains(name, "{"):
			return errors.New("metadata: placeholders are not resolved here; write the parameters' names, or use {$NAME}, which is replaced while the Caddyfile is read")
		case strings.ContainsAny(name, ",;=&?"):
			return errors.New("metadata: a name contains a separator, one of , ; = & and ?; separate names with spaces, as in metadata user_id order_id")
		}
	}
	return nil
}

func (h *Handler) findApp(ctx caddy.Context) error {
	app, err := ctx.AppIfConfigured(appName)
	if errors.Is(err, caddy.ErrNotConfigured) {
		return cmp.Or(h.checkUpstreams(new(App)), h.checkResults(h.provider, nil))
	}
	if err != nil {
		return err
	}
	h.app = app.(*App)
	if err := cmp.Or(h.checkResults(h.provider, h.app), h.checkUpstreams(h.app)); err != nil {
		return err
	}
	if err := h.app.addCredential(h); err != nil || len(h.DeliverTo) == 0 {
		return err
	}
	if err := h.app.checkDedupeWindow(h.provider); err != nil {
		return err
	}
	return h.app.addHandler(h)
}
