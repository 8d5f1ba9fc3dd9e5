package console

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/caddyserver/caddy/v2"
)

const (
	// defaultUser is set by basic_auth and by other handlers that authenticate.
	defaultUser = "{http.auth.user.id}"

	// longestName is the maximum length of a user's name, in bytes. The subject of a
	// certificate has several names in it.
	longestName = 256
)

// A userPlaceholder is the placeholder with the user's name.
type userPlaceholder struct {
	key       string // without braces
	usual     bool   // whether it is defaultUser
	certified bool   // whether it is about the client's certificate
}

// userPlaceholders matches the placeholders whose values only the configuration and those whom
// it trusts can set, and, as its last group, headers.
var userPlaceholders = regexp.MustCompile(`^\{(http\.(?:` +
	`auth\.user\.[A-Za-z0-9_.-]+` +
	`|vars\.[A-Za-z0-9_.-]+` +
	`|request\.tls\.client\.(?:subject|serial|fingerprint|public_key_sha256|san\.(?:dns_names|emails|ips|uris)\.[0-9]+)` +
	`|request\.header\.([^{}]+)))\}$`)

// caddyVars are the variables that Caddy sets itself.
var caddyVars = []string{"client_ip", "trusted_proxy", "start_time", "uuid", "root", "fs"}

var errUser = errors.New("it takes one placeholder that clients cannot set: {http.auth.user.*}, {http.vars.*}, " +
	"{http.request.header.*} for a header that a proxy or forward_auth sets, or of {http.request.tls.client.*}: " +
	"subject, serial, fingerprint, public_key_sha256, san.dns_names.0, san.emails.0, san.ips.0 or san.uris.0")

// newUserPlaceholder returns the placeholder of the option `user`, which may be empty, or an
// error if clients could choose its value. The error does not quote the option.
func newUserPlaceholder(option string) (userPlaceholder, error) {
	option = cmp.Or(option, defaultUser)
	match := userPlaceholders.FindStringSubmatch(option)
	if match == nil {
		return userPlaceholder{}, errUser
	}
	p := userPlaceholder{key: match[1], usual: option == defaultUser, certified: strings.HasPrefix(match[1], "http.request.tls.")}
	for _, name := range caddyVars {
		if p.key == "http.vars."+name {
			return userPlaceholder{}, fmt.Errorf("the variable %s is set for every request by Caddy itself; name a variable that is set for authenticated users only", name)
		}
	}
	if header := match[2]; header != "" {
		return p, checkUserHeader(header)
	}
	return p, nil
}

// headerName matches the names of headers that Caddy passes on to handlers.
var headerName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

func checkUserHeader(name string) error {
	switch {
	case !headerName.MatchString(name):
		return errors.New("the name of a header has letters, digits and hyphens only: Caddy drops headers with an underscore or a dot in their name")
	case sentByClients(name):
		return fmt.Errorf("browsers send the header %s by themselves; name the header in which your proxy or forward_auth puts the user's name", http.CanonicalHeaderKey(name))
	}
	return nil
}

// name returns the name of the request's user, or the reason why it has none.
func (p userPlaceholder) name(r *http.Request) (name, reason string) {
	if p.certified && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		// Caddy sets these placeholders for any certificate, and some without one.
		return "", "It has no client certificate that Caddy has verified; the site needs a client_auth with the mode require_and_verify and a trust_pool"
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if ok {
		name, _ = repl.GetString(p.key)
		name = strings.TrimSpace(name)
	}
	switch {
	case name == "" && p.usual:
		return "", "Caddy has not authenticated it"
	case name == "":
		return "", "The placeholder that the option user names is empty for it"
	case len(name) > longestName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return "", fmt.Sprintf("The name of its user is longer than %d bytes or has characters that cannot be printed", longestName)
	}
	return name, ""
}
