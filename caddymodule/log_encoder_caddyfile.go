package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/zapcore"
)

// UnmarshalCaddyfile reads:
//
//	format scribegate {
//		wrap <encoder> {
//			...
//		}
//	}
func (e *LogEncoder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the encoder's name
	if d.NextArg() {
		return usageErr(d, encoderUsage)
	}
	seen := make(subdirectiveSet)
	for d.NextBlock(0) {
		if d.Val() != "wrap" {
			return unknownSubdirective(d, "format scribegate", "wrap")
		}
		if err := seen.once(d, "format scribegate"); err != nil {
			return err
		}
		if !d.NextArg() {
			return usageErr(d, "wrap <encoder>")
		}
		name := d.Val()
		module, err := caddyfile.UnmarshalModule(d, encoderNamespace+name)
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

const encoderUsage = "format scribegate { ... }"

// Interface guards
var _ caddyfile.Unmarshaler = (*LogEncoder)(nil)
