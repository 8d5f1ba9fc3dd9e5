package plugintest

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

func init() { caddy.RegisterModule(Lab{}) }

// tokenHeader has the secret of Lab.
const tokenHeader = "X-Lab-Token"

// Lab is a provider: a laboratory that reports results. A token in a header proves them.
type Lab struct {
	Tokens   []string       `json:"tokens,omitempty"`
	Accepted caddy.Duration `json:"accepted,omitempty"` // how long a captured request is accepted

	tokens *caddymodule.Secret
}

// CaddyModule returns the Caddy module information.
func (Lab) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.providers.lab", New: func() caddy.Module { return new(Lab) }}
}

// Provision resolves the tokens.
func (l *Lab) Provision(ctx caddy.Context) (err error) {
	l.tokens, err = caddymodule.NewSecret(ctx, caddymodule.SecretOptions{Name: "token of lab", Entries: l.Tokens, Logger: ctx.Logger()})
	return err
}

// UnmarshalCaddyfile reads:
//
//	token <token>...
//	accepted <duration>
func (l *Lab) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	for d.NextBlock(0) {
		switch d.Val() {
		case "token":
			l.Tokens = d.RemainingArgs()
		case "accepted":
			if !d.NextArg() {
				return d.ArgErr()
			}
			accepted, err := caddy.ParseDuration(d.Val())
			if err != nil {
				return d.WrapErr(err)
			}
			l.Accepted = caddy.Duration(accepted)
		default:
			return d.Errf("unknown subdirective %s", d.Val())
		}
	}
	return nil
}

// Name implements verifier.Provider.
func (*Lab) Name() string { return "lab" }

// Defaults implements verifier.Provider.
func (*Lab) Defaults() verifier.Defaults {
	return verifier.Defaults{Source: "https://lab.example", MaxBody: 1 << 10}
}

// CheckHeader implements verifier.Provider.
func (l *Lab) CheckHeader(h http.Header, _ time.Time) (verifier.Proof, error) {
	for i, token := range l.tokens.Values() {
		if token != "" && subtle.ConstantTimeCompare([]byte(h.Get(tokenHeader)), []byte(token)) == 1 {
			return proof(i), nil
		}
	}
	return nil, &verifier.Rejection{Reason: verifier.AuthMismatch}
}

// A proof is the index of the token that a request has.
type proof int

// Verify implements verifier.Proof.
func (p proof) Verify([]byte) (int, error) { return int(p), nil }

// Event implements verifier.Provider.
func (l *Lab) Event(r verifier.Request) (*event.Event, error) {
	var result struct{ Order string }
	if err := json.Unmarshal(r.Body, &result); err != nil || result.Order == "" {
		return nil, &verifier.PayloadError{What: "order is missing"}
	}
	return &event.Event{
		ID: "lab-" + result.Order, Source: r.Source, Type: event.TypePrefix("lab") + "result.ready",
		Subject: result.Order, Time: event.FormatTime(r.ReceivedAt), Provider: "lab", Kind: "result", ObjectID: result.Order,
		Status: "completed", ReceivedAt: r.ReceivedAt, WithRaw: true, Body: r.Body,
		ContentType: r.Header.Get("Content-Type"), Proof: []event.Field{{Name: tokenHeader}},
	}, nil
}

// Quarantine implements verifier.Provider.
func (*Lab) Quarantine(verifier.Request) *event.Event { return nil }

// EventTypes implements verifier.EventTyper.
func (*Lab) EventTypes() []string { return []string{"result.ready"} }

// RequestTolerance implements caddymodule.TolerantProvider.
func (l *Lab) RequestTolerance() time.Duration { return time.Duration(l.Accepted) }

// SecretCount implements caddymodule.SecretCounter.
func (l *Lab) SecretCount() int { return len(l.tokens.Values()) }

// SecretHeader implements caddymodule.CredentialHolder.
func (*Lab) SecretHeader() string { return tokenHeader }

// Credential implements caddymodule.CredentialHolder.
func (l *Lab) Credential() string { return l.tokens.First() }

// Interface guards
var (
	_ caddy.Provisioner            = (*Lab)(nil)
	_ caddyfile.Unmarshaler        = (*Lab)(nil)
	_ verifier.EventTyper          = (*Lab)(nil)
	_ caddymodule.TolerantProvider = (*Lab)(nil)
	_ caddymodule.SecretCounter    = (*Lab)(nil)
	_ caddymodule.CredentialHolder = (*Lab)(nil)
)
