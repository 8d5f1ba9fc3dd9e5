package sites

import (
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// within returns the matchers of routes inside each other, each with one set of paths. A
// route without paths has no matcher.
func within(routes ...caddyhttp.MatchPath) (all []caddyhttp.MatcherSets) {
	for _, paths := range routes {
		var sets caddyhttp.MatcherSets
		if len(paths) > 0 {
			sets = caddyhttp.MatcherSets{{&paths}}
		}
		all = append(all, sets)
	}
	return all
}

func TestPathsOfMatchers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b          []caddyhttp.MatcherSets
		apart, covers bool // covers: a covers b
	}{
		"no matchers":           {within(nil), within(nil), false, true},
		"none and a path":       {within(nil), within(caddyhttp.MatchPath{"/a"}), false, true},
		"a path and none":       {within(caddyhttp.MatchPath{"/a"}), within(nil), false, false},
		"the same path":         {within(caddyhttp.MatchPath{"/a"}), within(caddyhttp.MatchPath{"/A"}), false, true},
		"two paths":             {within(caddyhttp.MatchPath{"/a"}), within(caddyhttp.MatchPath{"/b"}), true, false},
		"one of two":            {within(caddyhttp.MatchPath{"/a"}), within(caddyhttp.MatchPath{"/a", "/b"}), false, false},
		"all below":             {within(caddyhttp.MatchPath{"/a*"}), within(caddyhttp.MatchPath{"/a/b", "/a"}), false, true},
		"below another":         {within(caddyhttp.MatchPath{"/a/*"}), within(caddyhttp.MatchPath{"/b/*"}), true, false},
		"a wildcard inside":     {within(caddyhttp.MatchPath{"/*/a"}), within(caddyhttp.MatchPath{"/b/a"}), false, false},
		"a placeholder":         {within(caddyhttp.MatchPath{"/{env.A}"}), within(caddyhttp.MatchPath{"/b"}), false, false},
		"the inner of two":      {within(caddyhttp.MatchPath{"/a/*"}), within(caddyhttp.MatchPath{"/a*"}, caddyhttp.MatchPath{"/a/b"}), false, true},
		"apart in an outer one": {within(caddyhttp.MatchPath{"/a/*"}), within(caddyhttp.MatchPath{"/b/*"}, nil), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := apart(c.a, c.b); got != c.apart {
				t.Errorf("apart: %v", got)
			}
			if got := apart(c.b, c.a); got != c.apart {
				t.Errorf("apart, the other way round: %v", got)
			}
			if got := covers(c.a, c.b); got != c.covers {
				t.Errorf("covers: %v", got)
			}
		})
	}
}

// What decides whether a directive denies requests by more than their path.
func TestCondition(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		matcher any
		want    int
	}{
		"path":                     {&caddyhttp.MatchPath{"/a"}, byPath},
		"host":                     {&caddyhttp.MatchHost{"a"}, byPath},
		"header":                   {&caddyhttp.MatchHeader{"A": {"b"}}, byMore},
		"address":                  {&caddyhttp.MatchRemoteIP{}, byAddress},
		"client's address":         {&caddyhttp.MatchClientIP{}, byAddress},
		"not a path":               {&caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{&caddyhttp.MatchPath{"/a"}}}}, byPath},
		"not an address":           {&caddyhttp.MatchNot{MatcherSets: []caddyhttp.MatcherSet{{&caddyhttp.MatchPath{"/a"}, &caddyhttp.MatchRemoteIP{}}}}, byAddress},
		"expression of a path":     {&caddyhttp.MatchExpression{Expr: "path('/a')"}, byPath},
		"expression of a header":   {&caddyhttp.MatchExpression{Expr: "header({'A': 'b'})"}, byMore},
		"expression of an address": {&caddyhttp.MatchExpression{Expr: "!remote_ip('192.0.2.1')"}, byAddress},
		"another":                  {struct{}{}, byMore},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := conditionOf(c.matcher); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}
