package caddymodule

import (
	"cmp"
	"encoding/json"
	"iter"
	"regexp"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"go.uber.org/zap"
)

// unmarshalRoute reads a block of HTTP directives the way Caddy's own `route`
// directive is read: matchers, shorthands and nested blocks included, in the
// order in which they are written. The Caddyfile adapter itself does it, with
// the block as the only directive of the only site.
func (u *Upstream) unmarshalRoute(d *caddyfile.Dispenser) error {
	route := d.Token()
	if d.CountRemainingArgs() > 0 {
		return usageErr(d, "route { ... }")
	}
	segment := d.NextSegment()
	if err := u.checkRouteDirectives(segment); err != nil {
		return err
	}
	site := caddyfile.ServerBlock{
		HasBraces: true,
		Keys:      []caddyfile.Token{{Text: "http://", File: route.File, Line: route.Line}},
		Segments:  []caddyfile.Segment{segment},
	}
	cfg, warnings, err := httpcaddyfile.ServerType{}.Setup([]caddyfile.ServerBlock{site}, nil)
	if err != nil {
		return u.routeError(segment, err)
	}
	for _, w := range warnings {
		u.logAdapterWarning(route, w)
	}
	var http struct {
		Servers map[string]struct {
			Routes json.RawMessage `json:"routes"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(cfg.AppsRaw["http"], &http); err != nil {
		return errAt(route, "upstream %s: reading its route: %w", u.Name, err)
	}
	for _, server := range http.Servers {
		if len(server.Routes) == 0 {
			continue
		}
		if err := json.Unmarshal(server.Routes, &u.Routes); err != nil {
			return errAt(route, "upstream %s: reading its route: %w", u.Name, err)
		}
	}
	if err := checkRoute(u.Routes); err != nil {
		return errAt(route, "upstream %s: %w", u.Name, err)
	}
	return nil
}

// logAdapterWarning logs what the adapter warns of in a route. The adapter's own
// list of warnings is out of reach of a global option.
func (u *Upstream) logAdapterWarning(route caddyfile.Token, w caddyconfig.Warning) {
	caddy.Log().Named(appName).Warn(w.Message, zap.String("upstream", u.Name), zap.String("directive", cmp.Or(w.Directive, "route")),
		zap.String("file", cmp.Or(w.File, route.File)), zap.Int("line", cmp.Or(w.Line, route.Line)))
}

const routeHolds = "a route takes HTTP handlers and matchers, as Caddy's own route directive does, such as reverse_proxy, rewrite and header"

// directivesOfSites are Caddy's directives that configure a site and handle no
// request, and invoke, whose named routes belong to sites.
var directivesOfSites = []string{"bind", "handle_errors", "invoke", "log", "tls"}

// checkRouteDirectives returns an error for a directive that an upstream's route
// cannot hold. If it is in a block such as handle, Caddy's own error would
// have no line, or quote a Go value.
func (u *Upstream) checkRouteDirectives(route caddyfile.Segment) error {
	for directive := range directives(route) {
		switch {
		case directive.Text == "scribegate":
			return errAt(directive, "a scribegate directive in an upstream's route would send events in a loop; remove it")
		case slices.Contains(directivesOfSites, directive.Text):
			return errAt(directive, "upstream %s: its route cannot hold the directive%s; %s", u.Name, quoteWord(directive.Text), routeHolds)
		}
	}
	return nil
}

// routeErrors recognize errors of the adapter that name a directive but not its
// line, or quote a Go value.
var routeErrors = []struct {
	caddys *regexp.Regexp // its first group is the directive
	says   string
}{
	{regexp.MustCompile(`(\S+) directive returned something other than an HTTP route`), "its route cannot hold the directive%s; " + routeHolds},
	{regexp.MustCompile(`unrecognized directive: (\S+)`), "its route holds the unknown directive%s; " + routeHolds},
	{regexp.MustCompile(`directive '(\S+)' is not an ordered HTTP handler`), "the directive%s has no default order, which handle needs, and the global option order has no effect in an upstream's route; if it is an HTTP handler, put it directly into the route or into a route block"},
}

// routeError returns the adapter's error on a route with the upstream's name, and
// with the file and line of the directive in question if they can be found.
func (u *Upstream) routeError(route caddyfile.Segment, err error) error {
	for _, known := range routeErrors {
		match := known.caddys.FindStringSubmatch(err.Error())
		if match == nil {
			continue
		}
		for directive := range directives(route) {
			if directive.Text == match[1] {
				return errAt(directive, "upstream %s: "+known.says, u.Name, quoteWord(match[1]))
			}
		}
	}
	return errAt(route[0], "upstream %s: reading its route: %w", u.Name, err)
}

// blocksOfDirectives are the directives and subdirectives of Caddy whose blocks
// hold directives.
var blocksOfDirectives = []string{"route", "handle", "handle_path", "handle_errors", "handle_response"}

// directives returns each directive in a route and in the blocks in it, in their
// order.
func directives(segment caddyfile.Segment) iter.Seq[caddyfile.Token] {
	return func(yield func(caddyfile.Token) bool) { yieldDirectives(segment, yield) }
}

func yieldDirectives(segment caddyfile.Segment, yield func(caddyfile.Token) bool) bool {
	d := caddyfile.NewDispenser(segment)
	d.Next()
	holdsDirectives := slices.Contains(blocksOfDirectives, d.Val())
	d.RemainingArgs()
	for d.NextBlock(0) {
		inner := d.NextSegment()
		if holdsDirectives && !yield(inner[0]) || !yieldDirectives(inner, yield) {
			return false
		}
	}
	return true
}
