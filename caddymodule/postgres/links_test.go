package postgres

import (
	"os/exec"
	"strings"
	"testing"
)

// A Caddy with package caddymodule alone links no driver of PostgreSQL.
func TestLinks(t *testing.T) {
	t.Parallel()
	linked := func(pkg string) (all []string) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "nobadger,nomysql,nopgx", pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v: %s", err, out)
		}
		for name := range strings.FieldsSeq(string(out)) {
			if strings.Contains(name, "/jackc/") || strings.Contains(name, "scribegate/") && strings.Contains(name, "postgres") {
				all = append(all, name)
			}
		}
		return all
	}
	const module = "github.com/scribegate/scribegate/caddymodule"
	if got := linked(module); len(got) > 0 {
		t.Errorf("%s links %v", module, got)
	}
	if got := linked(module + "/postgres"); len(got) == 0 {
		t.Errorf("%s/postgres links no driver", module)
	}
}
