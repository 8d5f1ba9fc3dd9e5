package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

func TestRunAllFails(t *testing.T) {
	t.Parallel()
	rows := func(rows ...result) func(context.Context, *env) ([]result, error) {
		return func(context.Context, *env) ([]result, error) { return rows, nil }
	}
	tests := map[string]struct {
		run  func(context.Context, *env) ([]result, error)
		want string // "" is no error
		rows int
	}{
		"nothing lost":    {rows(result{fault: "f", acknowledged: 5, delivered: 5}), "", 1},
		"an event lost":   {rows(result{fault: "f", acknowledged: 5, delivered: 4, lost: 1}), "s: f: 1 acknowledged events were lost", 1},
		"lost in the 2nd": {rows(result{fault: "f"}, result{fault: "g", lost: 2}), "s: g: 2 acknowledged events were lost", 2},
		"no row":          {rows(), "s: it returned no row", 1},
		"could not": {func(context.Context, *env) ([]result, error) {
			return nil, errors.New("the disk is broken\nand more")
		}, "s: the disk is broken", 1},
		"a row and an error": {func(context.Context, *env) ([]result, error) {
			return []result{{fault: "f"}}, errors.New("too slow")
		}, "s: too slow", 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := runAll(t.Context(), &env{}, []scenario{{name: "s", run: tt.run}, {name: "next", run: rows(result{fault: "next"})}})
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("runAll() = %v, want %q", err, tt.want)
			}
			if len(got) != tt.rows+1 || got[len(got)-1].fault != "next" {
				t.Errorf("rows are %+v, want %d and that of the next scenario", got, tt.rows)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []scenario{{name: "a"}, {name: "b", onlyNamed: true}, {name: "c"}}
	for only, want := range map[string]string{"": "a c", "b": "b", "c,a": "c a"} {
		got, err := choose(all, only)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range got {
			names = append(names, s.name)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("choose(%q) = %v, want %s", only, names, want)
		}
	}
	if _, err := choose(all, "a,d"); err == nil || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("choose() = %v, want an error that names d", err)
	}
}

func TestScenariosAreComplete(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, s := range scenarios {
		if s.name == "" || s.text == "" || s.run == nil || seen[s.name] {
			t.Errorf("scenario %q: it is incomplete or there twice", s.name)
		}
		seen[s.name] = true
	}
	small, large := 0, 0
	for _, m := range activities {
		small, large = small+m.small, large+m.large
	}
	if small != 20 || large != 500 {
		t.Errorf("%d kills at small size and %d at large, want 20 and 500", small, large)
	}
}

func TestRunRejects(t *testing.T) {
	t.Setenv(stage.CaddyEnv, "")
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no binary":        {[]string{"-caddy", "no/such/caddy"}, "make build"},
		"unknown size":     {[]string{"-size", "huge"}, "small or large"},
		"unknown scenario": {[]string{"-only", "nonsense"}, "nonsense"},
		"an argument":      {[]string{"kill"}, "-only"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(t.Context(), tt.args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run() = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestRunLists(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list"}, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\n"); n != len(scenarios) || !strings.Contains(out.String(), "kill ") {
		t.Errorf("-list printed\n%s", out.String())
	}
}
