package caddymodule

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

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

// durationArg returns the only argument, a duration. Days are written "14d". The duration is
// checked later, with the other settings.
func durationArg(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	var arg string
	if !d.AllArgs(&arg) {
		return 0, syntax.UsageErr(d, name+" <duration>")
	}
	v, err := parseDuration(arg)
	if err != nil {
		return 0, d.Errf("%s: %v", name, err)
	}
	return v, nil
}

// positiveDurationArg is durationArg, but zero is an error: in JSON it means the default.
func positiveDurationArg(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	v, err := durationArg(d)
	if err == nil && v == 0 {
		err = d.Errf("%s: it must be longer than zero; leave it out for the default", name)
	}
	return v, err
}

func parseDuration(s string) (caddy.Duration, error) {
	v, err := caddy.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write a number with a unit, as in 30s, 5m, 24h or 14d%s", s, placeholderHint(s))
	}
	return caddy.Duration(v), nil
}

// nonNegative returns an error for a negative duration.
func nonNegative(name string, d caddy.Duration) error {
	if d < 0 {
		return fmt.Errorf("%s: the duration %s is negative", name, time.Duration(d))
	}
	return nil
}

// sizeArg returns the only argument, a size such as 10GiB or 64KiB, in bytes.
func sizeArg(d *caddyfile.Dispenser) (int64, error) {
	name := d.Val()
	var arg string
	if !d.AllArgs(&arg) {
		return 0, syntax.UsageErr(d, name+" <size>")
	}
	size, err := humanize.ParseBytes(arg)
	if err != nil || size == 0 || size > 1<<62 {
		return 0, d.Errf("%s: %q is not a size; write a number with a unit, as in 64KiB, 10MiB or 10GiB%s", name, arg, placeholderHint(arg))
	}
	return int64(size), nil
}

// countArg returns the only argument, a whole number of at least 1.
func countArg(d *caddyfile.Dispenser) (int, error) {
	name := d.Val()
	var arg string
	if !d.AllArgs(&arg) {
		return 0, syntax.UsageErr(d, name+" <number>")
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, d.Errf("%s: %q is not a whole number of at least 1%s", name, arg, placeholderHint(arg))
	}
	return n, nil
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
