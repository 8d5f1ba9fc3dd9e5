package caddymodule

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/verifier"
)

// TestEverythingIsDocumented checks that each chapter has the names that it is the
// reference for: metrics, actions of the audit trail, commands with their flags, routes, and reasons of rejections.
func TestEverythingIsDocumented(t *testing.T) {
	t.Parallel()
	documentation := chapters(t)
	reference := documentation[filepath.Join("..", "caddymodule", "README.md")]
	commands := documentation[filepath.Join("..", "caddymodule", "command", "README.md")]
	requests := documentation[filepath.Join("..", "verifier", "README.md")]

	metrics := metricNames(t)
	if len(metrics) < 15 {
		t.Errorf("found only the metrics %q", metrics)
	}
	for _, name := range metrics {
		if !strings.Contains(reference, "`"+name+"`") {
			t.Errorf("the reference does not explain the metric %s", name)
		}
	}

	audited, err := os.ReadFile(filepath.Join("internal", "audit", "audit.go"))
	if err != nil {
		t.Fatal(err)
	}
	actions := auditAction.FindAllStringSubmatch(string(audited), -1)
	if len(actions) < 10 {
		t.Errorf("found only the actions %q", actions)
	}
	for _, action := range actions {
		if !strings.Contains(reference, "\n| `"+action[1]+"` |") {
			t.Errorf("no table explains the action %s of the audit trail", action[1])
		}
	}

	scribegate := new(cobra.Command)
	caddycmd.Commands()["scribegate"].CobraFunc(scribegate)
	for _, command := range scribegate.Commands() {
		if !strings.Contains(commands, "| `caddy scribegate "+command.Name()) {
			t.Errorf("no table explains the command %s", command.Name())
		}
		for _, c := range append(command.Commands(), command) {
			c.Flags().VisitAll(func(f *pflag.Flag) {
				if f.Name != "help" && !f.Hidden && !strings.Contains(commands, "--"+f.Name) {
					t.Errorf("the chapter does not explain the flag --%s of %s", f.Name, c.Name())
				}
			})
		}
	}
	for _, route := range []admin.Route{
		admin.RouteLive, admin.RouteReady, admin.RouteStatus, admin.RouteEvents, admin.RouteEvent, admin.RoutePayload,
		admin.RouteReplay, admin.RoutePurge, admin.RouteCompact, admin.RouteBackup, admin.RouteRecover, admin.RouteAudit, admin.RouteVerify,
	} {
		if !strings.Contains(commands, "`"+route.Method+" "+admin.Prefix+route.Path+"`") {
			t.Errorf("no table explains the route %s %s%s", route.Method, admin.Prefix, route.Path)
		}
		for _, parameter := range route.Parameters {
			if !strings.Contains(commands, "`"+parameter+"`") {
				t.Errorf("no table explains the parameter %s of %s", parameter, route.Path)
			}
		}
	}

	for _, reason := range verifier.Reasons {
		if !strings.Contains(requests, "`"+string(reason)+"`") {
			t.Errorf("the chapter does not explain the reason %s", reason)
		}
	}
}

var auditAction = regexp.MustCompile(`= Action\("([a-z_]+)"\)`)

var metricName = regexp.MustCompile(`"(scribegate_[a-z_]+)"`)

// metricNames returns the names of the metrics in the sources of this folder.
func metricNames(t *testing.T) (names []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range metricName.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
