// Package syntax reads the arguments of subdirectives, and makes the errors of a Caddyfile that
// has the wrong subdirectives or the wrong number of arguments. These quote no argument, since
// that may be a secret.
//
// The package imports Caddy's Caddyfile parser, and no other package of Scribegate.
package syntax

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnknownErr returns the error for a subdirective that a block does not have, with the
// subdirectives that it has.
func UnknownErr(d *caddyfile.Dispenser, block string, known ...string) error {
	return d.Errf("%s: unknown subdirective%s; known are %s", block, Quote(d.Val()), strings.Join(known, ", "))
}

// UsageErr returns the error for a subdirective with a missing or extra argument. Caddy's
// own ArgErr would quote the last argument.
func UsageErr(d *caddyfile.Dispenser, usage string) error {
	name, _, _ := strings.Cut(usage, " ")
	return d.Errf("%s: wrong number of arguments; write it as: %s", name, usage)
}

// ErrAt returns an error with the file and line of a token in front.
func ErrAt(t caddyfile.Token, format string, args ...any) error {
	return fmt.Errorf("%s:%d: "+format, append([]any{t.File, t.Line}, args...)...)
}

// word matches the names of subdirectives and modules.
var word = regexp.MustCompile(`^[a-z_]{1,32}$`)

// Quote returns a word in quotation marks, after a space, for an error. It returns "" for
// text that cannot be the name of a subdirective or a module: a secret on a line of its own
// is read as a name.
func Quote(s string) string {
	if !word.MatchString(s) {
		return ""
	}
	return " " + strconv.Quote(s)
}

// Seen is the set of the subdirectives that a block has had so far.
type Seen map[string]bool

// Once adds the present subdirective, and returns an error if the block has had it before.
func (s Seen) Once(d *caddyfile.Dispenser, block string) error {
	name := d.Val()
	if s[name] {
		return d.Errf("%s: %s is given twice; write it once, with all its arguments", block, name)
	}
	s[name] = true
	return nil
}
