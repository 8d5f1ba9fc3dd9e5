package caddylog

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
)

// UnmarshalCaddyfile reads:
//
//	format scribegate {
//		wrap <encoder> {
//			...
//		}
//	}
func (e *Encoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the encoder's name
	if d.NextArg() {
		return syntax.UsageErr(d, "format scribegate { ... }")
	}
	seen := make(syntax.Seen)
	for d.NextBlock(0) {
		if d.Val() != "wrap" {
			return syntax.UnknownErr(d, "format scribegate", "wrap")
		}
		if err := seen.Once(d, "format scribegate"); err != nil {
			return err
		}
		if !d.NextArg() {
			return syntax.UsageErr(d, "wrap <encoder>")
		}
		name := d.Val()
		module, err := caddyfile.UnmarshalModule(d, namespace+name)
		if err != nil {
			return err
		}
		if _, ok := module.(zapcore.Encoder); !ok {
			return d.Errf("wrap: the module %T is not a log encoder", module)
		}
		e.WrappedRaw = caddyconfig.JSONModuleObject(module, "format", name, nil)
	}
	return nil
}

// namespace is where log encoders are registered.
const namespace = "caddy.logging.encoders."

// Interface guards
var _ caddyfile.Unmarshaler = (*Encoder)(nil)
