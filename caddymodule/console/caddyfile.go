package console

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
)

// Directive is the name of the directive, and of the handler in JSON.
const Directive = "scribegate_console"

func init() {
	httpcaddyfile.RegisterHandlerDirective("scribegate_console", parseDirective)
	httpcaddyfile.RegisterDirectiveOrder("scribegate_console", httpcaddyfile.Before, "respond")
}

func parseDirective(helper httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	c := new(Console)
	return c, c.UnmarshalCaddyfile(helper.Dispenser)
}

// UnmarshalCaddyfile reads:
//
//	scribegate_console [<matcher>] {
//		allow_loopback
//		allow_unauthenticated
//		user <placeholder>
//		read_only
//	}
func (c *Console) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return syntax.UsageErr(d, "scribegate_console [<matcher>] { ... }")
	}
	seen := make(syntax.Seen)
	for d.NextBlock(0) {
		name := d.Val()
		if err := seen.Once(d, Directive); err != nil {
			return err
		}
		switch name {
		case "allow_loopback":
			c.AllowLoopback = true
		case "allow_unauthenticated":
			c.AllowUnauthenticated = true
		case "read_only":
			c.ReadOnly = true
		case "user":
			if !d.AllArgs(&c.User) || c.User == "" {
				return syntax.UsageErr(d, "user <placeholder>")
			}
			if _, err := newUserPlaceholder(c.User); err != nil {
				return d.Errf("user: %v", err)
			}
			continue
		default:
			return syntax.UnknownErr(d, Directive, "allow_loopback", "allow_unauthenticated", "read_only", "user")
		}
		if d.NextArg() {
			return syntax.UsageErr(d, name)
		}
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Console)(nil)
