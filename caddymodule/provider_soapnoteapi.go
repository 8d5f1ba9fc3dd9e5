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
	"github.com/scribegate/scribegate/verifier"
)

func init() {
	caddy.RegisterModule(SOAPNoteAPI{})
}

// SOAPNoteAPI receives the webhooks of SOAPNoteAPI: clinical notes made out of
// audio, signed with HMAC-SHA256.
type SOAPNoteAPI struct {
	// The webhook secrets, each the whole string that SOAPNoteAPI showed,
	// `whsec_` included. Any of them verifies; list the next one beside the
	// present one while it is being rotated. Placeholders `{env.*}` and
	// `{file.*}` keep them out of the configuration. Required.
	Secrets []string `json:"secrets,omitempty"`

	// How far the signed timestamp may be from now, in both directions.
	// Default: 5m.
	Tolerance caddy.Duration `json:"tolerance,omitempty"`

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
		Name: "secret of soapnoteapi", Entries: p.Secrets, Doubt: doubtSOAPNoteAPI, Logger: logging.Logger(ctx),
	})
	if err != nil {
		return err
	}
	p.SOAPNoteAPI = verifier.SOAPNoteAPI{Secrets: secrets.Values, Tolerance: time.Duration(p.Tolerance)}
	return nil
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

// checkTolerance returns an error for a tolerance that no request could keep to.
func checkTolerance(d caddy.Duration) error {
	if d < caddy.Duration(time.Second) {
		return fmt.Errorf("tolerance: %s is less than a second, and timestamps are in whole seconds; write it as in 30s or 5m", time.Duration(d))
	}
	return nil
}

var soapnoteapiSubdirectives = []string{"secret", "tolerance"}

// UnmarshalCaddyfile reads the provider's part of a scribegate block:
//
//	secret <secret>...
//	tolerance <duration>
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
			t, err := durationArg(d)
			if err == nil {
				err = wrapErr(d, checkTolerance(t))
			}
			if err != nil {
				return err
			}
			p.Tolerance = t
		default:
			return syntax.UnknownErr(d, "scribegate soapnoteapi", slices.Concat(soapnoteapiSubdirectives, handlerSubdirectives)...)
		}
	}
	if len(p.Secrets) == 0 {
		return directive.Err("soapnoteapi: secret is missing; without it a forged request cannot be detected")
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
