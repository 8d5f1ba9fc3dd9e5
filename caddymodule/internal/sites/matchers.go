package sites

import (
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

// What a matcher depends on.
const (
	byPath    = iota // only the path, the host or the method
	byMore           // something else of the request, such as a header
	byAddress        // the address of the client
)

// condition returns what the matchers depend on: the last of the constants that holds for one.
func condition(matchers []caddyhttp.MatcherSets) int {
	by := byPath
	for _, sets := range matchers {
		for _, set := range sets {
			for _, m := range set {
				by = max(by, conditionOf(m))
			}
		}
	}
	return by
}

// addresses and beyondPath match the names that an expression uses.
var (
	addresses  = regexp.MustCompile(`remote|client_ip`)
	beyondPath = regexp.MustCompile(`header|query|tls|auth|vars|cookie`)
)

func conditionOf(matcher any) int {
	switch m := matcher.(type) {
	case *caddyhttp.MatchNot:
		var sets caddyhttp.MatcherSets = m.MatcherSets
		return condition([]caddyhttp.MatcherSets{sets})
	case *caddyhttp.MatchExpression:
		switch {
		case addresses.MatchString(m.Expr):
			return byAddress
		case beyondPath.MatchString(m.Expr):
			return byMore
		}
		return byPath
	}
	module, ok := matcher.(caddy.Module)
	if !ok {
		return byMore
	}
	switch module.CaddyModule().ID.Name() {
	case "path", "path_regexp", "host", "method", "protocol", "file":
		return byPath
	case "remote_ip", "client_ip":
		return byAddress
	}
	return byMore
}

// apart reports whether no request matches both a and b, by their hosts and paths.
func apart(a, b []caddyhttp.MatcherSets) bool {
	for _, x := range a {
		for _, y := range b {
			if len(x) > 0 && len(y) > 0 && !slices.ContainsFunc(x, func(s caddyhttp.MatcherSet) bool {
				return slices.ContainsFunc(y, func(t caddyhttp.MatcherSet) bool { return !setsApart(s, t) })
			}) {
				return true
			}
		}
	}
	return false
}

// covers reports whether each request that matches b also matches a, by their paths. The
// matchers that a and b share are those of the routes around both.
func covers(a, b []caddyhttp.MatcherSets) bool {
	for i, x := range a {
		common := i < len(b) && len(x) > 0 && len(b[i]) > 0 && &x[0] == &b[i][0]
		if len(x) > 0 && !common && !slices.ContainsFunc(x, func(set caddyhttp.MatcherSet) bool { return coversPaths(set, b) }) {
			return false
		}
	}
	return true
}

// coversPaths does the same for one set of a, which must consist of paths only, or of the files
// of try_files.
func coversPaths(set caddyhttp.MatcherSet, b []caddyhttp.MatcherSets) bool {
	for _, m := range set {
		switch m := m.(type) {
		case *fileserver.MatchFile:
		case *caddyhttp.MatchPath:
			of := paths(b)
			if len(of) == 0 || slices.ContainsFunc(of, func(path string) bool {
				return !slices.ContainsFunc(*m, func(pattern string) bool { return coversPath(strings.ToLower(pattern), strings.ToLower(path)) })
			}) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func coversPath(pattern, path string) bool {
	prefix, wild := strings.CutSuffix(pattern, "*")
	return pattern == path || wild && literalPrefix(prefix) == prefix && strings.HasPrefix(literalPrefix(path), prefix)
}

func setsApart(a, b caddyhttp.MatcherSet) bool {
	return patternsApart(hostsOf(a), hostsOf(b)) || patternsApart(pathsOf(a), pathsOf(b))
}

// patternsApart reports whether nothing matches a pattern of both lists. A list
// without patterns matches everything.
func patternsApart(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	for _, x := range a {
		for _, y := range b {
			if !patternApart(strings.ToLower(x), strings.ToLower(y)) {
				return false
			}
		}
	}
	return true
}

// patternApart reports whether nothing matches both patterns, by the text before the first
// wildcard or placeholder.
func patternApart(a, b string) bool {
	x, y := literalPrefix(a), literalPrefix(b)
	switch {
	case x == a && y == b:
		return a != b
	case x == a:
		return !strings.HasPrefix(a, y)
	case y == b:
		return !strings.HasPrefix(b, x)
	}
	return !strings.HasPrefix(x, y) && !strings.HasPrefix(y, x)
}

func literalPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, "*{"); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

func pathsOf(set caddyhttp.MatcherSet) []string {
	for _, m := range set {
		if path, ok := m.(*caddyhttp.MatchPath); ok {
			return *path
		}
	}
	return nil
}

func hostsOf(set caddyhttp.MatcherSet) []string {
	for _, m := range set {
		if host, ok := m.(*caddyhttp.MatchHost); ok {
			return *host
		}
	}
	return nil
}

// paths returns the patterns of the innermost path matcher.
func paths(matchers []caddyhttp.MatcherSets) []string {
	var patterns []string
	for _, sets := range matchers {
		for _, set := range sets {
			if found := pathsOf(set); len(found) > 0 {
				patterns = found
			}
		}
	}
	return patterns
}
