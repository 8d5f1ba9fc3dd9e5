package caddymodule

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/credentials"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
)

// addCredential adds the secret header of a handler, which raw upstreams receive with its
// events.
func (a *App) addCredential(h *Handler) error {
	c, ok := h.provider.(CredentialHolder)
	if !ok {
		return nil
	}
	key := credentials.NewKey(h.provider.Name(), h.Source, c.SecretHeader())
	if len(h.DeliverTo) == 0 {
		a.credentials.AddCheckpoint(key, c)
		return nil
	}
	return a.credentials.Add(key, c, h.rawUpstream())
}

// addHandler adds a handler with deliver_to to the configuration, and checks it
// against the upstreams and the handlers before it.
func (a *App) addHandler(h *Handler) error {
	provider := h.provider.Name()
	if err := a.addAPI(h); err != nil {
		return err
	}
	about := []zap.Field{zap.String("provider", provider), zap.String("source", h.Source), zap.Strings("deliver_to", h.DeliverTo)}
	if !h.delivers() {
		a.logger.Warn("a handler delivers nothing: none of its upstreams takes any type of event that its provider sends; add a type of this provider to the `events` of one of them, or deliver to another upstream", about...)
	}
	for _, other := range a.handlers {
		if other.provider.Name() == provider && other.Source == h.Source && !sameNames(other.DeliverTo, h.DeliverTo) {
			a.logger.Warn("two handlers have the same provider and source but different deliver_to: an event that both receive is a duplicate at the second, whose upstreams never get it; give each handler a `source` of its own, or the same deliver_to",
				append(about, zap.Strings("other_deliver_to", other.DeliverTo))...)
			break
		}
	}
	a.handlers = append(a.handlers, h)
	types, _ := h.eventTypes()
	metrics.BeginUnrouted(provider, types)
	return nil
}

// addAPI adds the API of a handler's provider, if it has a key, and sets the stages of the
// handler's events. It returns an error if another handler with the same provider and
// source has other settings of the API: an event records no more about its handler.
func (a *App) addAPI(h *Handler) error {
	p, ok := h.provider.(resultSettings)
	if !ok {
		return nil
	}
	options, provider := p.results(), h.provider.Name()
	for _, other := range a.handlers {
		if o, ok := other.provider.(resultSettings); ok && other.provider.Name() == provider && other.Source == h.Source {
			if o.results().identity != options.identity {
				return fmt.Errorf("%s: two handlers with the source %s have different settings of the API (api_key and the options that need it); give one of them a source of its own, or both the same settings", provider, h.Source)
			}
			h.stages = other.stages
			return nil
		}
	}
	if !options.fetch {
		return nil
	}
	if *a.HistoryRetention == 0 && options.remembers != "" {
		return fmt.Errorf("%s: %s needs a history_retention above zero: the records of delivered events say what is known and what is to be deleted; set it, or remove %s", provider, options.remembers, options.remembers)
	}
	client, err := a.apiClient(p.settings())
	if err != nil {
		return fmt.Errorf("%s: %w", provider, err)
	}
	for _, name := range options.stages {
		h.stages = append(h.stages, name(provider, h.Source))
	}
	api := p.api(h, client)
	if api.Cleanup != nil {
		api.Cleanup.GiveUp = time.Duration(*a.HistoryRetention) // the record of an event is deleted then
	}
	a.apis = append(a.apis, api)
	return nil
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// warnUnused reports the upstreams that receive no event: no handler delivers to
// them, or none that does has one of their types. The configuration must have
// been provisioned.
func (a *App) warnUnused() {
	for _, u := range a.Upstreams {
		named := slices.DeleteFunc(slices.Clone(a.handlers), func(h *Handler) bool { return !slices.Contains(h.DeliverTo, u.Name) })
		switch {
		case len(named) == 0:
			a.logger.Warn("no handler delivers to an upstream, which therefore receives no new event; name it in the deliver_to of a handler, or remove it",
				zap.String("upstream", u.Name))
		case slices.ContainsFunc(named, func(h *Handler) bool { return h.reaches(u) }):
		case slices.ContainsFunc(named, (*Handler).delivers): // the other handlers are reported already
			a.logger.Warn("an upstream takes no type of event that the providers of its handlers send; add one of their types to its `events`, or remove it from deliver_to",
				zap.String("upstream", u.Name), zap.Strings("events", u.Events))
		}
	}
}
