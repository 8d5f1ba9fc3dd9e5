package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// SonioxAPI has the settings of what is fetched from Soniox's REST API, found there and
// deleted there.
type SonioxAPI struct {
	API

	// What is added to an event before its first delivery: `transcript` is the text and
	// the tokens, `text` is without the tokens, and `none` only confirms that Soniox knows
	// the transcription. Default: `transcript`.
	Fetch result.Fetch `json:"fetch,omitempty"`

	// How long the transcript of a transcription that Soniox knows is asked for. After that
	// the event is delivered without it. Default: 1h.
	FetchTimeout caddy.Duration `json:"fetch_timeout,omitempty"`

	// The URL that Soniox was given as webhook_url. It is compared without its query.
	// Needed for reconcile.
	WebhookURL string `json:"webhook_url,omitempty"`

	// The time between two searches for transcriptions whose webhook never arrived.
	// Default: 0, which never searches.
	Reconcile caddy.Duration `json:"reconcile,omitempty"`

	// Whether the transcription and its file are deleted at Soniox after every upstream has
	// accepted the event. It needs a key that may write. Default: false.
	DeleteAfterDelivery bool `json:"delete_after_delivery,omitempty"`
}

var sonioxAPISubdirectives = append([]string{"fetch", "fetch_timeout", "webhook_url", "reconcile", "delete_after_delivery"}, apiSubdirectives...)

// provision checks the settings and resolves the key.
func (a *SonioxAPI) provision(ctx caddy.Context) (err error) {
	if err := a.check(); err != nil {
		return err
	}
	if a.WebhookURL, err = resolveSetting(a.WebhookURL); err != nil {
		return fmt.Errorf("webhook_url: %w", err)
	}
	if err := checkWebhookURL(a.WebhookURL); err != nil {
		return err
	}
	if err := a.API.provision(ctx, "soniox", soniox.DefaultBase); err != nil || !a.enabled() {
		return err
	}
	a.Fetch = cmp.Or(a.Fetch, result.FetchTranscript)
	a.FetchTimeout = cmp.Or(a.FetchTimeout, caddy.Duration(result.DefaultFetchTimeout))
	return nil
}

// check returns an error for settings that cannot be right.
func (a *SonioxAPI) check() error {
	if !a.enabled() {
		if err := cmp.Or(
			needsAPIKey("fetch", a.Fetch != ""), needsAPIKey("fetch_timeout", a.FetchTimeout != 0),
			needsAPIKey("webhook_url", a.WebhookURL != ""), needsAPIKey("reconcile", a.Reconcile != 0),
			needsAPIKey("delete_after_delivery", a.DeleteAfterDelivery),
		); err != nil {
			return err
		}
	}
	if err := cmp.Or(checkFetch(a.Fetch), nonNegative("fetch_timeout", a.FetchTimeout), checkReconcile(a.Reconcile)); err != nil {
		return err
	}
	if a.Reconcile != 0 && a.WebhookURL == "" {
		return errors.New("reconcile needs webhook_url, the URL of this handler as Soniox was given it: other transcriptions of the account are not this handler's")
	}
	if a.DeleteAfterDelivery && a.Fetch == result.FetchNone {
		return errors.New("delete_after_delivery cannot be used with fetch none: no upstream would have the transcript that is deleted; remove one of them")
	}
	if a.WebhookURL == "" || strings.Contains(a.WebhookURL, "{") {
		return a.API.check()
	}
	return cmp.Or(checkWebhookURL(a.WebhookURL), a.API.check())
}

func checkFetch(fetch result.Fetch) error {
	switch fetch {
	case "", result.FetchTranscript, result.FetchText, result.FetchNone:
		return nil
	}
	return errors.New("fetch: it must be transcript, text or none")
}

// minReconcile is the least interval: each search is a request or more.
const minReconcile = caddy.Duration(time.Second)

func checkReconcile(interval caddy.Duration) error {
	if interval != 0 && interval < minReconcile {
		return fmt.Errorf("reconcile: the interval %s is shorter than a second; write it as in 5m", time.Duration(interval))
	}
	return nil
}

// checkWebhookURL returns an error for what cannot be the address of a handler. It quotes
// nothing, since the query may have patient data.
func checkWebhookURL(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("webhook_url: write the URL of this handler as Soniox was given it, as in https://hooks.example.com/soniox")
	}
	return nil
}

// unmarshal reads a subdirective, and reports whether it is one.
func (a *SonioxAPI) unmarshal(d *caddyfile.Dispenser) (known bool, err error) {
	switch d.Val() {
	case "fetch":
		var fetch string
		if !d.AllArgs(&fetch) || fetch == "" {
			return true, syntax.UsageErr(d, "fetch transcript|text|none")
		}
		a.Fetch = result.Fetch(fetch)
		err = wrapErr(d, checkFetch(a.Fetch))
	case "fetch_timeout":
		a.FetchTimeout, err = syntax.PositiveDurationArg(d)
		if err == nil {
			err = wrapErr(d, nonNegative("fetch_timeout", a.FetchTimeout))
		}
	case "webhook_url":
		if !d.AllArgs(&a.WebhookURL) || a.WebhookURL == "" {
			err = syntax.UsageErr(d, "webhook_url <url>")
		} else if err = checkSetting(a.WebhookURL); err != nil {
			err = d.Errf("webhook_url: %v", err)
		} else if !strings.Contains(a.WebhookURL, "{") {
			err = wrapErr(d, checkWebhookURL(a.WebhookURL))
		}
	case "reconcile":
		if a.Reconcile, err = syntax.PositiveDurationArg(d); err == nil {
			err = wrapErr(d, checkReconcile(a.Reconcile))
		}
	case "delete_after_delivery":
		if d.NextArg() {
			err = syntax.UsageErr(d, "delete_after_delivery")
		}
		a.DeleteAfterDelivery = true
	default:
		return a.API.unmarshal(d)
	}
	return true, err
}

// results implements resultSettings.
func (p *Soniox) results() resultOptions {
	o := resultOptions{
		provider: "soniox", fetch: p.enabled(), deletes: p.DeleteAfterDelivery,
		identity: fmt.Sprintf("%q %q %d %s %s %q %s %t", p.APIKey, p.APIBase, p.APIRate, p.Fetch, time.Duration(p.FetchTimeout), p.WebhookURL, time.Duration(p.Reconcile), p.DeleteAfterDelivery),
	}
	switch {
	case p.DeleteAfterDelivery:
		o.remembers = "delete_after_delivery"
	case p.Reconcile > 0:
		o.remembers = "reconcile"
	}
	if o.fetch {
		o.stages = append(o.stages, queue.Completion)
	}
	if o.deletes {
		o.stages = append(o.stages, queue.Cleanup)
	}
	return o
}

// api implements resultSettings.
func (p *Soniox) api(h *Handler, client *rest.Client) results.API {
	s := results.Soniox{Client: soniox.Client{Client: client}, WebhookURL: p.WebhookURL, New: h.sonioxEvent}
	a := results.API{
		Provider: "soniox", Source: h.Source, Recover: s.Recover,
		Completion: &result.Completion{API: s.Client, Fetch: p.Fetch, FetchTimeout: time.Duration(p.FetchTimeout)},
		Background: func(ctx context.Context, store results.Store, logger *zap.Logger) {
			s.Background(ctx, h.Source, time.Duration(p.Reconcile), store, logger)
		},
	}
	if p.DeleteAfterDelivery {
		a.Cleanup = &result.Cleanup{API: s.Client}
	}
	return a
}

// sonioxEvent returns the event of a webhook that never arrived.
func (h *Handler) sonioxEvent(body []byte, query string) (*event.Event, error) {
	return h.provider.Event(verifier.Request{
		Source: h.Source, Keep: h.Metadata, Header: http.Header{"Content-Type": {"application/json"}},
		Query: query, Body: body, ReceivedAt: time.Now().UTC(),
	})
}
