package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

func TestRunAllFails(t *testing.T) {
	t.Parallel()
	rows := func(rows ...table.Row) func(context.Context, *scenario.Env) ([]table.Row, error) {
		return func(context.Context, *scenario.Env) ([]table.Row, error) { return rows, nil }
	}
	tests := map[string]struct {
		run  func(context.Context, *scenario.Env) ([]table.Row, error)
		want string // "" means none
		rows int
	}{
		"nothing lost":    {rows(table.Row{Fault: "f", Acknowledged: 5, Delivered: 5}), "", 1},
		"an event lost":   {rows(table.Row{Fault: "f", Acknowledged: 5, Delivered: 4, Lost: 1}), "s: f: 1 acknowledged events were lost", 1},
		"lost in the 2nd": {rows(table.Row{Fault: "f"}, table.Row{Fault: "g", Lost: 2}), "s: g: 2 acknowledged events were lost", 2},
		"no row":          {rows(), "s: it returned no row", 1},
		"could not": {func(context.Context, *scenario.Env) ([]table.Row, error) {
			return nil, errors.New("the disk is broken\nand more")
		}, "s: the disk is broken", 1},
		"a row and an error": {func(context.Context, *scenario.Env) ([]table.Row, error) {
			return []table.Row{{Fault: "f"}}, errors.New("too slow")
		}, "s: too slow", 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := runAll(t.Context(), &scenario.Env{}, []scenario.Scenario{{Name: "s", Run: tt.run}, {Name: "next", Run: rows(table.Row{Fault: "next"})}})
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("runAll() = %v, want %q", err, tt.want)
			}
			if len(got) != tt.rows+1 || got[len(got)-1].Fault != "next" {
				t.Errorf("rows are %+v, want %d and that of the next scenario", got, tt.rows)
			}
		})
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := []scenario.Scenario{{Name: "a"}, {Name: "b", OnlyNamed: true}, {Name: "c"}}
	for only, want := range map[string]string{"": "a c", "b": "b", "c,a": "c a"} {
		got, err := choose(all, only)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, s := range got {
			names = append(names, s.Name)
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
		if s.Name == "" || s.Text == "" || s.Run == nil || seen[s.Name] {
			t.Errorf("scenario %q: it is incomplete or there twice", s.Name)
		}
		seen[s.Name] = true
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
