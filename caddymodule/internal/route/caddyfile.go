package route

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"regexp"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/syntax"
)

// Parse returns the routes of an upstream's `route { ... }`. The block is read as that of
// Caddy's own `route` directive is: with matchers, shorthands and nested blocks, in the order
// in which they are written. Caddy's adapter reads it, as the only directive of the only site.
func Parse(d *caddyfile.Dispenser, upstream string) (caddyhttp.RouteList, error) {
	if d.CountRemainingArgs() > 0 {
		return nil, syntax.UsageErr(d, "route { ... }")
	}
	b := block{upstream: upstream, segment: d.NextSegment()}
	if err := b.checkDirectives(); err != nil {
		return nil, err
	}
	routes, err := b.adapt()
	if err != nil {
		return nil, err
	}
	if err := Check(routes); err != nil {
		return nil, b.err(err)
	}
	return routes, nil
}

// A block is the directive `route` of an upstream, with its block.
type block struct {
	upstream string
	segment  caddyfile.Segment
}

// directive returns the token `route`.
func (b block) directive() caddyfile.Token { return b.segment[0] }

// err returns an error on the block, with its file and line.
func (b block) err(err error) error {
	return syntax.ErrAt(b.directive(), "upstream %s: %w", b.upstream, err)
}

// adapt returns the block's routes.
func (b block) adapt() (routes caddyhttp.RouteList, err error) {
	route := b.directive()
	site := caddyfile.ServerBlock{
		HasBraces: true,
		Keys:      []caddyfile.Token{{Text: "http://", File: route.File, Line: route.Line}},
		Segments:  []caddyfile.Segment{b.segment},
	}
	cfg, warnings, err := httpcaddyfile.ServerType{}.Setup([]caddyfile.ServerBlock{site}, nil)
	if err != nil {
		return nil, b.adapterErr(err)
	}
	for _, w := range warnings {
		b.logWarning(w)
	}
	var http struct {
		Servers map[string]struct {
			Routes json.RawMessage `json:"routes"`
		} `json:"servers"`
	}
	if err := json.Unmarshal(cfg.AppsRaw["http"], &http); err != nil {
		return nil, b.err(fmt.Errorf("reading its route: %w", err))
	}
	for _, server := range http.Servers {
		if len(server.Routes) == 0 {
			continue
		}
		if err := json.Unmarshal(server.Routes, &routes); err != nil {
			return nil, b.err(fmt.Errorf("reading its route: %w", err))
		}
	}
	return routes, nil
}

// logWarning logs a warning of the adapter. A global option cannot add to the adapter's own
// list of warnings.
func (b block) logWarning(w caddyconfig.Warning) {
	route := b.directive()
	logging.ProcessLog().Warn(w.Message, zap.String("upstream", b.upstream), zap.String("directive", cmp.Or(w.Directive, "route")),
		zap.String("file", cmp.Or(w.File, route.File)), zap.Int("line", cmp.Or(w.Line, route.Line)))
}

const holds = "a route takes HTTP handlers and matchers, as Caddy's own route directive does, such as reverse_proxy, rewrite and header"

// directivesOfSites are Caddy's directives that configure a site and handle no
// request, and invoke, whose named routes belong to sites.
var directivesOfSites = []string{"bind", "handle_errors", "invoke", "log", "tls"}

// checkDirectives returns an error for a directive that an upstream's route cannot have. For
// one in a block such as handle, Caddy's own error would have no line, or quote a Go value.
func (b block) checkDirectives() error {
	for directive := range directives(b.segment) {
		switch {
		case directive.Text == "scribegate":
			return syntax.ErrAt(directive, "a scribegate directive in an upstream's route would send events in a loop; remove it")
		case directive.Text == "scribegate_console":
			return syntax.ErrAt(directive, "an upstream's route cannot hold scribegate_console, which is for the requests of people; put it into a site")
		case slices.Contains(directivesOfSites, directive.Text):
			return syntax.ErrAt(directive, "upstream %s: its route cannot hold the directive%s; %s", b.upstream, syntax.Quote(directive.Text), holds)
		}
	}
	return nil
}

// adapterErrors are the adapter's errors that name a directive but not its line, or quote a
// Go value, with the texts that replace them.
var adapterErrors = []struct {
	caddys *regexp.Regexp // its first group is the directive
	says   string
}{
	{regexp.MustCompile(`(\S+) directive returned something other than an HTTP route`), "its route cannot hold the directive%s; " + holds},
	{regexp.MustCompile(`unrecognized directive: (\S+)`), "its route holds the unknown directive%s; " + holds},
	{regexp.MustCompile(`directive '(\S+)' is not an ordered HTTP handler`), "the directive%s has no default order, which handle needs, and the global option order has no effect in an upstream's route; if it is an HTTP handler, put it directly into the route or into a route block"},
}

// adapterErr returns the adapter's error with the upstream's name, and with the file and line
// of the directive that it names if they can be found.
func (b block) adapterErr(err error) error {
	for _, known := range adapterErrors {
		match := known.caddys.FindStringSubmatch(err.Error())
		if match == nil {
			continue
		}
		for directive := range directives(b.segment) {
			if directive.Text == match[1] {
				return syntax.ErrAt(directive, "upstream %s: "+known.says, b.upstream, syntax.Quote(match[1]))
			}
		}
	}
	return b.err(fmt.Errorf("reading its route: %w", err))
}

// blocksOfDirectives are Caddy's directives and subdirectives whose blocks consist of
// directives.
var blocksOfDirectives = []string{"route", "handle", "handle_path", "handle_errors", "handle_response"}

// directives returns each directive in a route and in the blocks in it, in their order.
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
