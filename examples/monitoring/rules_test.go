//go:build examples

package monitoring_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPromtool checks the files with Prometheus's own tool.
func TestPromtool(t *testing.T) {
	need(t, "promtool")
	ctx := bounded(t)
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"},
		{"check", "rules", "rules.yml"},
		{"test", "rules", "rules_test.yml"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Log(strings.TrimSpace(run(ctx, t, "promtool", args...)))
		})
	}
}

var alertName = regexp.MustCompile(`(?m)^      - alert: (\S+)$`)

// alertNames returns the names of the alerts in rules.yml.
func alertNames(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, found := range alertName.FindAllStringSubmatch(read(t, "rules.yml"), -1) {
		names = append(names, found[1])
	}
	if len(names) == 0 {
		t.Fatal("rules.yml has no alerts")
	}
	return names
}

// TestEveryAlertIsTested checks that rules_test.yml has each alert firing and not
// firing, and that the README documents each alert.
func TestEveryAlertIsTested(t *testing.T) {
	names := alertNames(t)
	tests, readme := read(t, "rules_test.yml"), read(t, "README.md")
	for _, name := range names {
		check := regexp.QuoteMeta(name)
		if !regexp.MustCompile(`alertname: ` + check + `\n +exp_alerts:\n +- exp_labels:`).MatchString(tests) {
			t.Errorf("rules_test.yml never has %s firing", name)
		}
		if !regexp.MustCompile(`alertname: ` + check + `\n +exp_alerts: \[\]`).MatchString(tests) {
			t.Errorf("rules_test.yml never has %s not firing", name)
		}
		if !strings.Contains(readme, "`"+name+"`") {
			t.Errorf("the README does not document %s", name)
		}
	}
	for _, found := range regexp.MustCompile("`(Scribegate[A-Za-z]+)`").FindAllStringSubmatch(readme, -1) {
		if !slices.Contains(names, found[1]) {
			t.Errorf("the README documents %s, which rules.yml does not have", found[1])
		}
	}
}

// TestAlertsAreComplete checks that each alert has a condition, a severity, a summary
// and a description.
func TestAlertsAreComplete(t *testing.T) {
	rules := read(t, "rules.yml")
	for _, rule := range alertName.Split(rules, -1)[1:] {
		for _, part := range []string{"expr: ", "severity: ", "summary: ", "description: ", "$labels.instance"} {
			if !strings.Contains(rule, part) {
				t.Errorf("an alert has no %q:%s", part, rule)
			}
		}
		if severity := regexp.MustCompile(`severity: (\w+)`).FindStringSubmatch(rule); severity == nil || !slices.Contains([]string{"critical", "warning", "info"}, severity[1]) {
			t.Errorf("an alert has the severity %q:%s", severity, rule)
		}
	}
}

var command = regexp.MustCompile("`caddy scribegate ([^`]+)`")

// commands returns the arguments of the `caddy scribegate` commands in a text.
func commands(text string) (found [][]string) {
	for _, c := range command.FindAllStringSubmatch(strings.Join(strings.Fields(text), " "), -1) {
		found = append(found, strings.Fields("scribegate "+c[1]))
	}
	return found
}

// TestCommandsExist checks that the gateway has every command in these files, with its
// flags.
func TestCommandsExist(t *testing.T) {
	ctx, binary := bounded(t), caddy(t)
	for _, file := range []string{"rules.yml", "dashboard.json", "README.md"} {
		found := commands(read(t, file))
		if len(found) == 0 {
			t.Errorf("%s has no command", file)
		}
		for _, args := range found {
			// It fails if the command does not have one of the flags.
			help := run(ctx, t, binary, append(args, "--help")...)
			if name := args[1]; !strings.Contains(help, "caddy scribegate "+name) {
				t.Errorf("%s: there is no command %q", file, name)
			}
		}
	}
}
