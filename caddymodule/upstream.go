package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/credentials"
	"github.com/scribegate/scribegate/caddymodule/internal/route"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/forwarder"
)

// Upstream is a backend that receives events: a URL, or any Caddy route.
type Upstream struct {
	// The upstream's name, as handlers, metrics, the admin API and the
	// commands call it: letters, digits, dots, underscores and hyphens.
	// Required.
	Name string `json:"name,omitempty"`

	// The URL that every event is POSTed to. Either this or `routes`.
	URL string `json:"url,omitempty"`

	// The HTTP routes that every event goes through, as `POST /` with the
	// upstream's name as host. A `scribegate` handler in them is an error.
	Routes caddyhttp.RouteList `json:"routes,omitempty"`

	// The events that the upstream receives, by their short types:
	// `note.generated`, `note.failed`, `test`, `transcription.completed`,
	// `transcription.error`, the word of an event that a provider adds
	// later, or `*` for all of them. Default: all but `test`.
	Events []string `json:"events,omitempty"`

	// How events are put into requests: `structured` (a CloudEvents
	// document), `binary` (the data as body, the attributes as headers) or
	// `raw` (the provider's own request). Default: `structured`.
	Format forwarder.Format `json:"format,omitempty"`

	// How long one attempt may take up to the answer's status. Default: 30s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many attempts may be under way at once. Default: 32.
	Concurrency int `json:"concurrency,omitempty"`

	// The waits between attempts: n waits make n+1 attempts, and then the
	// event is dead. Default: 5s 30s 2m 10m 30m 1h 2h 4h 8h.
	Retry []caddy.Duration `json:"retry,omitempty"`

	// The most deliveries per second. Default: no limit.
	RateLimit float64 `json:"rate_limit,omitempty"`

	// The Standard Webhooks secrets that sign this upstream's deliveries,
	// instead of the app's, each with a signature of its own. Placeholders
	// `{env.*}` and `{file.*}` keep them out of the configuration.
	SigningSecrets []string `json:"signing_secrets,omitempty"`

	filter forwarder.Filter
	sender forwarder.Sender
	keys   func() []forwarder.SigningKey
	// identity changes if the upstream is another backend: its URL, or the JSON of its route.
	identity string
}

// maxRate is the highest rate_limit, in deliveries per second.
const maxRate = 1e9

var upstreamName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// checkName returns an error for an invalid name, or that of one of the others.
func (u *Upstream) checkName(others []*Upstream) error {
	if !upstreamName.MatchString(u.Name) {
		return fmt.Errorf("upstream %q: a name has 1 to 64 letters, digits, dots, underscores or hyphens, and begins with a letter or digit", u.Name)
	}
	if slices.ContainsFunc(others, func(other *Upstream) bool { return other.Name == u.Name }) {
		return fmt.Errorf("upstream %s is defined twice", u.Name)
	}
	return nil
}

// check returns an error for invalid settings. It accepts settings that are missing, so that a
// parser can check each setting when it has read it.
func (u *Upstream) check() error {
	if err := u.checkSettings(); err != nil {
		return fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	return nil
}

func (u *Upstream) checkSettings() error {
	if err := forwarder.Filter(u.Events).Validate(); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if err := nonNegative("timeout", u.Timeout); err != nil {
		return err
	}
	if u.Concurrency < 0 {
		return errors.New("concurrency must not be negative")
	}
	for _, wait := range u.Retry {
		if err := nonNegative("retry", wait); err != nil {
			return err
		}
	}
	if !(u.RateLimit >= 0 && u.RateLimit <= maxRate) { // NaN is neither
		return errors.New("rate_limit must be a number of deliveries per second above zero; leave it out for no limit")
	}
	return checkFormat(u.Format)
}

// checkWhole returns an error unless the upstream has either a URL or a valid route.
func (u *Upstream) checkWhole() error {
	switch {
	case u.URL == "" && len(u.Routes) == 0:
		return fmt.Errorf("upstream %s: it has neither a URL nor a route; add one of them", u.Name)
	case u.URL != "" && len(u.Routes) > 0:
		return fmt.Errorf("upstream %s: it has both a URL and a route; remove one of them", u.Name)
	case u.URL != "":
		return nil
	}
	if err := route.Check(u.Routes); err != nil {
		return fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	return nil
}

func checkFormat(f forwarder.Format) error {
	switch f {
	case "", forwarder.Structured, forwarder.Binary, forwarder.Raw:
		return nil
	}
	return fmt.Errorf("format %q is unknown; it is structured, binary or raw", f)
}

// provision sets the defaults and makes the sender. It opens and starts nothing.
func (u *Upstream) provision(ctx caddy.Context, logger *zap.Logger) error {
	if err := cmp.Or(u.check(), u.checkWhole()); err != nil {
		return err
	}
	u.filter = forwarder.Filter(u.Events)
	to, err := resolveSetting(u.URL)
	if err != nil {
		return fmt.Errorf("upstream %s: its URL: %w", u.Name, err)
	}
	u.identity = to
	u.Format = cmp.Or(u.Format, forwarder.Structured)
	u.Timeout = cmp.Or(u.Timeout, caddy.Duration(forwarder.DefaultTimeout))
	u.Concurrency = cmp.Or(u.Concurrency, forwarder.DefaultConcurrency)
	if u.Retry == nil {
		for _, wait := range forwarder.DefaultRetry {
			u.Retry = append(u.Retry, caddy.Duration(wait))
		}
	}
	if len(u.SigningSecrets) > 0 {
		keys, err := signingKeys(ctx, "signing_secret of upstream "+u.Name, u.SigningSecrets, logger)
		if err != nil {
			return err
		}
		u.keys = keys
	}
	if len(u.Routes) > 0 {
		// Provisioning removes the routes' JSON, so it is read before.
		if routes, err := json.Marshal(u.Routes); err == nil {
			u.identity = string(routes)
		}
		if host := route.PlainHTTPHost(u.Routes); host != "" {
			warnPlainHTTP(logger, u.Name, host)
		}
		route.Warn(logger, u.Name, u.Routes)
		sender, err := route.NewSender(ctx, u.Name, u.Routes, u.Concurrency)
		if err != nil {
			return fmt.Errorf("upstream %s: %w", u.Name, err)
		}
		u.sender = sender
		return nil
	}
	target, err := parseTarget(to)
	if err != nil {
		return fmt.Errorf("upstream %s: %w", u.Name, err)
	}
	if target.Scheme == "http" && !route.Loopback(target.Hostname()) {
		warnPlainHTTP(logger, u.Name, target.Hostname())
	}
	u.sender = forwarder.NewURLSender(target, u.Concurrency)
	return nil
}

// parseTarget returns the URL of an upstream, or an error that quotes nothing of it.
func parseTarget(raw string) (*url.URL, error) {
	target, err := url.Parse(raw)
	if err != nil {
		// The error quotes the URL, which may contain a password.
		return nil, errors.New("its URL cannot be parsed; write it as in http://127.0.0.1:9000/events, with %XX in place of special characters in a name or password")
	}
	if (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return nil, errors.New("its URL must begin with http:// or https:// and name a host, as in http://127.0.0.1:9000/events")
	}
	if port, err := strconv.Atoi(target.Port()); target.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return nil, errors.New("its URL's port must be a number from 1 to 65535")
	}
	if target.Fragment != "" {
		return nil, errors.New("its URL has a fragment (#...), which is never sent to a server; remove it")
	}
	return target, nil
}

func warnPlainHTTP(logger *zap.Logger, upstream, host string) {
	logger.Warn("an upstream uses plain HTTP to another host: patients' notes would cross the network unencrypted; use https",
		zap.String("upstream", upstream), zap.String("host", host))
}

// settings returns the upstream for the dispatcher.
func (u *Upstream) settings(app *App) forwarder.Upstream {
	retry := make([]time.Duration, len(u.Retry))
	for i, wait := range u.Retry {
		retry[i] = time.Duration(wait)
	}
	keys := u.keys
	if keys == nil {
		keys = app.keys
	}
	return forwarder.Upstream{
		Name:        u.Name,
		Format:      u.Format,
		Timeout:     time.Duration(u.Timeout),
		Concurrency: u.Concurrency,
		Retry:       retry,
		RateLimit:   u.RateLimit,
		Sender:      u.sender,
		SigningKeys: keys,
		Identity:    u.identity,
		Credential: func(provider, source, header string) (string, bool) {
			return app.credentials.Value(credentials.NewKey(provider, source, header), u.Name)
		},
	}
}

// signingKeys returns a function that returns the present keys of signing secrets. Changes of
// their files are followed until ctx ends.
func signingKeys(ctx context.Context, name string, raw []string, logger *zap.Logger) (func() []forwarder.SigningKey, error) {
	secrets, err := secret.New(ctx, secret.Options{Name: name, Entries: raw, Check: checkSigningSecret, Logger: logger})
	if err != nil {
		return nil, err
	}
	return func() []forwarder.SigningKey {
		values := secrets.Values()
		keys := make([]forwarder.SigningKey, 0, len(values))
		for _, v := range values {
			if v == "" {
				continue
			}
			if key, err := forwarder.ParseSigningSecret(v); err == nil {
				keys = append(keys, key)
			}
		}
		return keys
	}, nil
}

func checkSigningSecret(v string) error {
	_, err := forwarder.ParseSigningSecret(v)
	return err
}
