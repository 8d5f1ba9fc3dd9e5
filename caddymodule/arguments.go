package caddymodule

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/secret"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
	"github.com/scribegate/scribegate/forwarder"
)

// builtIn returns the names of the modules of a namespace that this Caddy has.
func builtIn(namespace string) string {
	modules := caddy.GetModules(strings.TrimSuffix(namespace, "."))
	names := make([]string, len(modules))
	for i, info := range modules {
		names[i] = info.ID.Name()
	}
	return strings.Join(names, ", ")
}

// wrapErr returns the error of a check with the file and line of the token, or nil.
func wrapErr(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// nonNegative returns an error for a negative duration.
func nonNegative(name string, d caddy.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s: the duration %s is negative", name, time.Duration(d))
	}
	return nil
}

// secretArgs returns one or more secrets. Mistakes in them are an error here, if they show
// without resolving placeholders, since file and line are known here. check, if not nil, is that
// of secret.Options.
func secretArgs(d *caddyfile.Dispenser, check func(string) error) ([]string, error) {
	name := d.Val()
	args := d.RemainingArgs()
	if len(args) == 0 {
		return nil, syntax.UsageErr(d, name+" <"+name+">...")
	}
	return args, checkSecretArgs(d, name, args, check)
}

func checkSecretArgs(d *caddyfile.Dispenser, name string, args []string, check func(string) error) error {
	if strings.Join(args, "") == "" {
		return d.Errf("%s: it is empty; an unset variable {$NAME} is replaced by nothing", name)
	}
	for _, arg := range args {
		if err := secret.CheckConfigured(arg, check); err != nil {
			return d.Errf("%s: %v", name, err)
		}
	}
	return nil
}

// formatArg returns the only argument, a format.
func formatArg(d *caddyfile.Dispenser) (forwarder.Format, error) {
	var arg string
	if !d.AllArgs(&arg) || arg == "" {
		return "", syntax.UsageErr(d, "format structured|binary|raw")
	}
	return forwarder.Format(arg), nil
}
