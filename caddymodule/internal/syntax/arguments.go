package syntax

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// DurationArg returns the only argument, a duration. Days are written "14d". The duration is
// checked later, with the other settings.
func DurationArg(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	var arg string
	if !d.AllArgs(&arg) {
		return 0, UsageErr(d, name+" <duration>")
	}
	v, err := ParseDuration(arg)
	if err != nil {
		return 0, d.Errf("%s: %v", name, err)
	}
	return v, nil
}

// PositiveDurationArg is DurationArg, but zero is an error: in JSON it means the default.
func PositiveDurationArg(d *caddyfile.Dispenser) (caddy.Duration, error) {
	name := d.Val()
	v, err := DurationArg(d)
	if err == nil && v == 0 {
		err = d.Errf("%s: it must be longer than zero; leave it out for the default", name)
	}
	return v, err
}

// ParseDuration returns a duration. Days are written "14d".
func ParseDuration(s string) (caddy.Duration, error) {
	v, err := caddy.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write a number with a unit, as in 30s, 5m, 24h or 14d%s", s, PlaceholderHint(s))
	}
	return caddy.Duration(v), nil
}

// SizeArg returns the only argument, a size such as 10GiB or 64KiB, in bytes.
func SizeArg(d *caddyfile.Dispenser) (int64, error) {
	name := d.Val()
	var arg string
	if !d.AllArgs(&arg) {
		return 0, UsageErr(d, name+" <size>")
	}
	size, err := humanize.ParseBytes(arg)
	if err != nil || size == 0 || size > 1<<62 {
		return 0, d.Errf("%s: %q is not a size; write a number with a unit, as in 64KiB, 10MiB or 10GiB%s", name, arg, PlaceholderHint(arg))
	}
	return int64(size), nil
}

// CountArg returns the only argument, a whole number of at least 1.
func CountArg(d *caddyfile.Dispenser) (int, error) {
	name := d.Val()
	var arg string
	if !d.AllArgs(&arg) {
		return 0, UsageErr(d, name+" <number>")
	}
	n, err := strconv.Atoi(arg)
	if err != nil || n < 1 {
		return 0, d.Errf("%s: %q is not a whole number of at least 1%s", name, arg, PlaceholderHint(arg))
	}
	return n, nil
}

// PlaceholderHint returns a hint for the error of an invalid value. It is empty
// unless the value is a placeholder, which the option does not resolve.
func PlaceholderHint(value string) string {
	if !strings.Contains(value, "{") {
		return ""
	}
	return "; placeholders are not resolved here, but {$NAME} is replaced while the Caddyfile is read"
}
