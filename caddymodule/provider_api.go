package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soapnoteapi"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// maxAPIRate bounds api_rate: no provider allows as many requests a minute.
const maxAPIRate = 60_000

// API has the settings of a provider's REST API.
type API struct {
	// The key of the provider's REST API. A placeholder `{env.*}` or `{file.*}` keeps it
	// out of the configuration. Default: none, and the API is not asked.
	APIKey string `json:"api_key,omitempty"`

	// The address of the API: an https URL, or http on loopback. Global placeholders are
	// resolved when the configuration is loaded. Default: the provider's own.
	APIBase string `json:"api_base,omitempty"`

	// How many requests per minute the API receives at most. Default: 120.
	APIRate int `json:"api_rate,omitempty"`

	base string // resolved
	key  *secret.List
}

var apiSubdirectives = []string{"api_key", "api_base", "api_rate"}

func (a *API) settings() *API { return a }

// enabled reports whether the configuration has an API key.
func (a *API) enabled() bool { return a.APIKey != "" }

// provision checks the settings and resolves the key. prefixes begin the keys of the
// provider.
func (a *API) provision(ctx caddy.Context, provider, defaultBase string, prefixes ...string) (err error) {
	if err := a.check(); err != nil {
		return err
	}
	if !a.enabled() {
		return nil
	}
	if a.base, err = resolveSetting(cmp.Or(a.APIBase, defaultBase)); err != nil {
		return fmt.Errorf("api_base: %w", err)
	}
	if err := rest.CheckBase(a.base); err != nil {
		return err
	}
	a.APIRate = cmp.Or(a.APIRate, rest.DefaultRate)
	a.key, err = secret.New(ctx, secret.Options{
		Name: "api_key of " + provider, Entries: []string{a.APIKey}, Doubt: doubtAPIKey(provider, prefixes), Logger: logging.Configuration(ctx),
	})
	return err
}

// check returns an error for settings that cannot be right, or that need an api_key.
func (a *API) check() error {
	if !a.enabled() {
		return cmp.Or(needsAPIKey("api_base", a.APIBase != ""), needsAPIKey("api_rate", a.APIRate != 0))
	}
	if a.APIRate < 0 || a.APIRate > maxAPIRate {
		return fmt.Errorf("api_rate: it must be a number of requests per minute from 1 to %d", maxAPIRate)
	}
	if a.APIBase == "" || strings.Contains(a.APIBase, "{") {
		return nil // its value is known when the configuration is loaded
	}
	return rest.CheckBase(a.APIBase)
}

// needsAPIKey returns an error for an option that is set without an api_key.
func needsAPIKey(option string, set bool) error {
	if !set {
		return nil
	}
	return fmt.Errorf("%s needs api_key: without it the provider's API is not asked; add api_key, or remove %s", option, option)
}

// doubtAPIKey returns what warns of a key that does not look like one of the provider's.
func doubtAPIKey(provider string, prefixes []string) func(string) string {
	return func(key string) string {
		switch {
		case strings.HasPrefix(key, "snx_org_"):
			return "an api_key is an organization key (snx_org_), which Soniox rejects with 403; create a key of the project"
		case strings.HasPrefix(key, "whsec_"):
			return "an api_key begins with whsec_, as webhook secrets do; configure the key of the REST API"
		case len(prefixes) > 0 && !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) }):
			return "an api_key of " + provider + " does not begin with " + strings.Join(prefixes, " or ") + "; check that it is the key of the REST API"
		}
		return ""
	}
}

// unmarshal reads a subdirective of the API, and reports whether it is one.
func (a *API) unmarshal(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "api_key":
		a.APIKey, err = apiKeyArg(d)
	case "api_base":
		if !d.AllArgs(&a.APIBase) || a.APIBase == "" {
			err = syntax.UsageErr(d, "api_base <url>")
		} else if err = checkSetting(a.APIBase); err != nil {
			err = d.Errf("api_base: %v", err)
		} else if !strings.Contains(a.APIBase, "{") {
			err = wrapErr(d, rest.CheckBase(a.APIBase))
		}
	case "api_rate":
		if a.APIRate, err = syntax.CountArg(d); err == nil && a.APIRate > maxAPIRate {
			err = d.Errf("api_rate: it must be a number of requests per minute from 1 to %d", maxAPIRate)
		}
	default:
		return false, nil
	}
	return true, err
}

// apiKeyArg takes exactly one key.
func apiKeyArg(d *caddyfile.Dispenser) (string, error) {
	args := d.RemainingArgs()
	if len(args) != 1 {
		return "", syntax.UsageErr(d, "api_key <key>")
	}
	return args[0], checkSecretArgs(d, "api_key", args, nil)
}

// results implements resultSettings.
func (p *SOAPNoteAPI) results() resultOptions {
	return resultOptions{provider: "soapnoteapi", fetch: p.enabled(), identity: fmt.Sprintf("%q %q %d", p.APIKey, p.APIBase, p.APIRate)}
}

// api implements resultSettings.
func (p *SOAPNoteAPI) api(h *Handler, client *rest.Client) results.API {
	s := results.SOAPNoteAPI{
		Client: soapnoteapi.Client{Client: client},
		New: func(noteID string, n soapnoteapi.Note) *event.Event {
			return verifier.RecoveredNote{Source: h.Source, ID: noteID, JSON: n.JSON, ExpiresAt: n.ExpiresAt, At: time.Now()}.Event()
		},
	}
	return results.API{Provider: "soapnoteapi", Source: h.Source, Recover: s.Recover}
}

// An apiClient is the client of an API with one key, which all handlers with both share.
type apiClient struct {
	base, key string // key is the placeholder
	rate      int
	client    *rest.Client
}

// apiClient returns the client for the settings of a handler.
func (a *App) apiClient(s *API) (*rest.Client, error) {
	for _, c := range a.apiClients {
		switch {
		case c.base != s.base || c.key != s.APIKey:
		case c.rate != s.APIRate:
			return nil, errors.New("api_rate: two handlers with the same api_key have different rates; give both the same, since the provider counts their requests together")
		default:
			return c.client, nil
		}
	}
	client, err := rest.New(rest.Options{Base: s.base, Key: s.key.First, Rate: s.APIRate, Version: build.Version()})
	if err != nil {
		return nil, err
	}
	a.apiClients = append(a.apiClients, apiClient{s.base, s.APIKey, s.APIRate, client})
	return client, nil
}
