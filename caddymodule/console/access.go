package console

import (
	"cmp"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// A visitor is a client that may see the console.
type visitor struct {
	name string // of the authenticated user; "" for one that need not be authenticated
	from string // the client's address
	acts bool   // whether it may replay and purge
}

// visitor returns the visitor that sent the request, or false if the client may not see the
// console.
func (c *Console) visitor(r *http.Request) (visitor, bool) {
	v := visitor{from: r.RemoteAddr, acts: !c.ReadOnly}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return visitor{}, false
	}
	v.name = repl.ReplaceAll(cmp.Or(c.User, "{http.auth.user.id}"), "")
	return v, v.name != "" || c.AllowUnauthenticated
}
