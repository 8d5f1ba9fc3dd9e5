package caddymodule

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder"
)

// errDropNothing is the error of a checkpoint with `drop`.
var errDropNothing = errors.New("drop needs deliver_to: without it every event is passed on to the next handler and none is stored; add deliver_to, or remove drop")

// validate says what is wrong with the settings by themselves.
func (h *Handler) validate() error {
	if h.MaxBody < 0 || h.MaxBody > receive.MaxBody {
		return fmt.Errorf("max_body: %d bytes; it must be at most 32MiB", h.MaxBody)
	}
	if err := validateSource(h.Source); err != nil {
		return err
	}
	if err := validateMetadata(h.Metadata); err != nil {
		return err
	}
	if err := forwarder.Filter(h.Drop).Validate(); err != nil {
		return fmt.Errorf("drop: %w", err)
	}
	if len(h.Drop) > 0 && len(h.DeliverTo) == 0 {
		return errDropNothing
	}
	if h.Format != "" && len(h.DeliverTo) > 0 {
		return errors.New("format cannot be used with deliver_to; set it in the blocks of the upstreams")
	}
	return validateFormat(h.Format)
}

// validateSource says whether a source can be an event's: a URI of ASCII
// letters, since it becomes a header in the binary format.
func validateSource(source string) error {
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

// validateMetadata returns an error for what cannot be the name of a query
// parameter, such as what only a list with commas is made of.
func validateMetadata(names []string) error {
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
		if len(h.DeliverTo) > 0 {
			return fmt.Errorf("deliver_to names the upstream %s, and no upstream is defined; define it in the scribegate app", h.DeliverTo[0])
		}
		return nil
	}
	if err != nil {
		return err
	}
	h.app = app.(*App)
	seen := make(map[string]bool)
	for _, name := range h.DeliverTo {
		if h.app.upstream(name) == nil {
			return fmt.Errorf("deliver_to names the upstream %s, which is not defined in the scribegate app", name)
		}
		if seen[name] {
			return fmt.Errorf("deliver_to names the upstream %s twice", name)
		}
		seen[name] = true
	}
	if len(h.DeliverTo) == 0 {
		return nil
	}
	if r, ok := h.provider.(replayer); ok && time.Duration(h.app.DedupeWindow) < 2*r.replayWindow() {
		return fmt.Errorf("dedupe_window is %s and must be at least %s, twice the tolerance of this handler: a captured request could be sent again for that long",
			time.Duration(h.app.DedupeWindow), 2*r.replayWindow())
	}
	return h.app.addHandler(h)
}
