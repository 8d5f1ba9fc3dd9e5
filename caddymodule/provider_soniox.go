package caddymodule

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/verifier"
)

func init() {
	caddy.RegisterModule(Soniox{})
}

// Soniox verifies the webhooks of Soniox, which announce finished transcriptions. The
// proof is a header, whose name and value were given when the transcription was created.
type Soniox struct {
	// The name of the header that proves a request. Required.
	Header string `json:"header,omitempty"`

	// The accepted values, the current one first. Upstreams with the format `raw`
	// receive the first one. Placeholders `{env.*}` and `{file.*}` keep the values out
	// of the configuration. Required.
	Values []string `json:"values,omitempty"`

	SonioxAPI

	verifier.Soniox `json:"-"`

	values *secret.List
}

// CaddyModule returns the Caddy module information.
func (Soniox) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "scribegate.providers.soniox",
		New: func() caddy.Module { return new(Soniox) },
	}
}

// Provision checks the header's name and resolves the values.
func (p *Soniox) Provision(ctx caddy.Context) error {
	if err := checkProofHeader(p.Header); err != nil {
		return err
	}
	secrets, err := secret.New(ctx, secret.Options{
		Name: "header " + p.Header + " of soniox", Entries: p.Values, Check: checkProofValue(p.Header), Doubt: doubtProofValue, Logger: logging.Configuration(ctx),
	})
	if err != nil {
		return err
	}
	p.values = secrets
	if err := p.SonioxAPI.provision(ctx); err != nil {
		return err
	}
	p.Soniox = verifier.Soniox{Header: p.Header, Values: secrets.Values}
	return nil
}

// SecretCount implements SecretCounter.
func (p *Soniox) SecretCount() int { return len(p.values.Values()) }

// SecretHeader returns the name of the header that is itself the secret.
func (p *Soniox) SecretHeader() string { return p.Header }

// Credential returns the header's first configured value.
func (p *Soniox) Credential() string { return p.values.First() }

var sonioxSubdirectives = append([]string{"header"}, sonioxAPISubdirectives...)

// UnmarshalCaddyfile reads the provider's part of a scribegate block:
//
//	header <name> <value>...
//	api_key <key>
//	api_base <url>
//	api_rate <number>
//	fetch transcript|text|none
//	fetch_timeout <duration>
//	webhook_url <url>
//	reconcile <duration>
//	delete_after_delivery
func (p *Soniox) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the provider's name
	directive, seen := *d, make(syntax.Seen)
	for d.NextBlock(0) {
		if err := seen.Once(d, "soniox"); err != nil {
			return err
		}
		switch d.Val() {
		case "header":
			if !d.Args(&p.Header) {
				return syntax.UsageErr(d, "header <name> <value>...")
			}
			if err := checkProofHeader(p.Header); err != nil {
				return d.WrapErr(err)
			}
			if p.Values = d.RemainingArgs(); len(p.Values) == 0 {
				return syntax.UsageErr(d, "header <name> <value>...")
			}
			if err := checkSecretArgs(d, "header", p.Values, checkProofValue(p.Header)); err != nil {
				return err
			}
		default:
			known, err := p.SonioxAPI.unmarshal(d)
			if err != nil {
				return err
			}
			if known {
				continue
			}
			return syntax.UnknownErr(d, "scribegate soniox", slices.Concat(sonioxSubdirectives, handlerSubdirectives)...)
		}
	}
	if p.Header == "" {
		return directive.Err("soniox: header is missing; without it a forged request cannot be detected")
	}
	if err := p.SonioxAPI.check(); err != nil {
		return directive.Errf("soniox: %v", err)
	}
	return nil
}

// hopByHop are the headers that end at each hop, by RFC 9110, section 7.6.1.
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// notProof are headers that every request has or that Go takes out of them.
var notProof = []string{"Host", "Content-Length", "Content-Type", "Content-Encoding"}

// checkProofHeader returns an error for the name of a header that cannot reach the
// handler, or that proves nothing. It quotes known names only, since the argument may be
// a secret.
func checkProofHeader(name string) error {
	switch canonical := textproto.CanonicalMIMEHeaderKey(name); {
	case name == "":
		return errors.New("header: the name is missing; choose one, such as Authorization")
	case strings.Contains(name, ":"):
		return errors.New(`header: the name and the value are two arguments, without a colon; write it as in: header Authorization "Bearer {env.TOKEN}"`)
	case strings.ContainsAny(name, "_."):
		return errors.New("header: Caddy drops headers with an underscore or a dot in their name; choose a name with hyphens")
	case !httpguts.ValidHeaderFieldName(name):
		return errors.New("header: the first argument is not a valid header name; write the name first, and the values after it")
	case slices.Contains(hopByHop, canonical):
		return fmt.Errorf("header %s is hop-by-hop: proxies on the way drop it; choose another, such as Authorization", name)
	case slices.Contains(notProof, canonical):
		return fmt.Errorf("header %s is in every request and proves nothing; choose another, such as Authorization", name)
	}
	return nil
}

// checkProofValue returns a function that checks a value of the header. A value that
// begins with the header's name is a complete line that was copied.
func checkProofValue(name string) func(string) error {
	return func(value string) error {
		if len(value) > len(name) && strings.EqualFold(value[:len(name)], name) && value[len(name)] == ':' {
			return errors.New("it begins with the header's name and a colon; keep only the text after the colon")
		}
		return nil
	}
}

// maxSoniox is the maximum length of the header's value at Soniox, in characters.
const maxSoniox = 256

func doubtProofValue(value string) string {
	if utf8.RuneCountInString(value) <= maxSoniox {
		return ""
	}
	return "a header value is longer than the 256 characters that Soniox accepts; check that it contains the value only"
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Soniox)(nil)
	_ caddyfile.Unmarshaler = (*Soniox)(nil)
	_ verifier.Provider     = (*Soniox)(nil)
	_ SecretCounter         = (*Soniox)(nil)
	_ CredentialHolder      = (*Soniox)(nil)
)
