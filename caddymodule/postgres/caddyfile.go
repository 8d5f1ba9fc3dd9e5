package postgres

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
)

var subdirectives = []string{"schema", "max_connections", "max_size", "encryption_key", "lease"}

// UnmarshalCaddyfile reads:
//
//	postgres <dsn> {
//		schema <name>
//		max_connections <number>
//		max_size <size>
//		encryption_key <key> [<older key>...]
//		lease <duration>
//	}
func (p *Postgres) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the engine's name
	if !d.Args(&p.DSN) || p.DSN == "" || d.NextArg() {
		return d.Err("queue postgres: write it as: queue postgres {env.SCRIBEGATE_DSN} { ... }; a DSN with spaces needs quotes")
	}
	if err := secret.CheckConfigured(p.DSN, checkDSN); err != nil {
		return d.Errf("queue postgres: %v", err)
	}
	seen := make(syntax.Seen)
	for d.NextBlock(0) {
		if err := seen.Once(d, "queue postgres"); err != nil {
			return err
		}
		if err := p.unmarshalOption(d); err != nil {
			return err
		}
	}
	return nil
}

func (p *Postgres) unmarshalOption(d *caddyfile.Dispenser) (err error) {
	switch d.Val() {
	case "schema":
		if !d.AllArgs(&p.Schema) || p.Schema == "" {
			return syntax.UsageErr(d, "schema <name>")
		}
	case "max_connections":
		p.MaxConnections, err = syntax.CountArg(d)
	case "max_size":
		p.MaxBytes, err = syntax.SizeArg(d)
	case "lease":
		p.Lease, err = syntax.PositiveDurationArg(d)
	case "encryption_key":
		p.EncryptionKeys = d.RemainingArgs()
		if len(p.EncryptionKeys) == 0 {
			return syntax.UsageErr(d, "encryption_key <key> [<older key>...]")
		}
		if strings.Join(p.EncryptionKeys, "") == "" {
			return d.Err("encryption_key: it is empty; an unset variable {$NAME} is replaced by nothing")
		}
		for _, key := range p.EncryptionKeys {
			if err := secret.CheckConfigured(key, checkKey); err != nil {
				return d.Errf("encryption_key: %v", err)
			}
		}
	default:
		return syntax.UnknownErr(d, "queue postgres", subdirectives...)
	}
	if err == nil {
		if err = p.check(); err != nil {
			err = d.Errf("queue postgres: %v", err)
		}
	}
	return err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Postgres)(nil)
