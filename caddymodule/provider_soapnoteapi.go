package caddymodule

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/forwarder/result/soapnoteapi"
	"github.com/scribegate/scribegate/verifier"
)

func init() {
	caddy.RegisterModule(SOAPNoteAPI{})
}

// SOAPNoteAPI verifies the webhooks of SOAPNoteAPI, which carry clinical notes and are
// signed with HMAC-SHA256.
type SOAPNoteAPI struct {
	// The webhook secrets, each the complete string that SOAPNoteAPI showed, with
	// `whsec_`. A request is genuine if one of them verifies it, so list the next
	// secret beside the present one during a rotation. Placeholders `{env.*}` and
	// `{file.*}` keep the secrets out of the configuration. Required.
	Secrets []string `json:"secrets,omitempty"`

	// The maximum difference between the signed timestamp and now, in both directions.
	// Default: 5m.
	Tolerance caddy.Duration `json:"tolerance,omitempty"`

	API

	verifier.SOAPNoteAPI `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (SOAPNoteAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scribegate.providers.soapnoteapi",
		New: func() caddy.Module { return new(SOAPNoteAPI) },
	}
}

// Provision resolves the secrets.
func (p *SOAPNoteAPI) Provision(ctx caddy.Context) error {
	p.Tolerance = caddy.Duration(p.RequestTolerance())
	if err := checkTolerance(p.Tolerance); err != nil {
		return err
	}
	secrets, err := secret.New(ctx, secret.Options{
		Name: "secret of soapnoteapi", Entries: p.Secrets, Doubt: doubtSOAPNoteAPI, Logger: logging.Configuration(ctx),
	})
	if err != nil {
		return err
	}
	p.SOAPNoteAPI = verifier.SOAPNoteAPI{Secrets: secrets.Values, Tolerance: time.Duration(p.Tolerance)}
	return p.API.provision(ctx, "soapnoteapi", soapnoteapi.DefaultBase, "snapi_sk_")
}

func doubtSOAPNoteAPI(value string) string {
	if strings.HasPrefix(value, "whsec_") {
		return ""
	}
	return "a SOAPNoteAPI secret does not begin with whsec_, as all secrets of SOAPNoteAPI do; configure the whole string, and do not decode it"
}

// SecretCount implements SecretCounter.
func (p *SOAPNoteAPI) SecretCount() int { return len(p.SOAPNoteAPI.Secrets()) }

// RequestTolerance implements TolerantProvider. It returns the default if no tolerance is
// set.
func (p *SOAPNoteAPI) RequestTolerance() time.Duration {
	return cmp.Or(time.Duration(p.Tolerance), verifier.DefaultTolerance)
}

// checkTolerance returns an error for a tolerance below a second.
func checkTolerance(d caddy.Duration) error {
	if d < caddy.Duration(time.Second) {
		return fmt.Errorf("tolerance: %s is less than a second, and timestamps are in whole seconds; write it as in 30s or 5m", time.Duration(d))
	}
	return nil
}

var soapnoteapiSubdirectives = append([]string{"secret", "tolerance"}, apiSubdirectives...)

// UnmarshalCaddyfile reads the provider's part of a scribegate block:
//
//	secret <secret>...
//	tolerance <duration>
//	api_key <key>
//	api_base <url>
//	api_rate <number>
func (p *SOAPNoteAPI) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the provider's name
	directive, seen := *d, make(syntax.Seen)
	for d.NextBlock(0) {
		if err := seen.Once(d, "soapnoteapi"); err != nil {
			return err
		}
		switch d.Val() {
		case "secret":
			args, err := secretArgs(d, nil)
			if err != nil {
				return err
			}
			p.Secrets = args
		case "tolerance":
			t, err := syntax.DurationArg(d)
			if err == nil {
				err = wrapErr(d, checkTolerance(t))
			}
			if err != nil {
				return err
			}
			p.Tolerance = t
		default:
			known, err := p.API.unmarshal(d)
			if err != nil {
				return err
			}
			if known {
				continue
			}
			return syntax.UnknownErr(d, "scribegate soapnoteapi", slices.Concat(soapnoteapiSubdirectives, handlerSubdirectives)...)
		}
	}
	if len(p.Secrets) == 0 {
		return directive.Err("soapnoteapi: secret is missing; without it a forged request cannot be detected")
	}
	if err := p.API.check(); err != nil {
		return directive.Errf("soapnoteapi: %v", err)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SOAPNoteAPI)(nil)
	_ caddyfile.Unmarshaler = (*SOAPNoteAPI)(nil)
	_ verifier.Provider     = (*SOAPNoteAPI)(nil)
	_ TolerantProvider      = (*SOAPNoteAPI)(nil)
	_ SecretCounter         = (*SOAPNoteAPI)(nil)
)
