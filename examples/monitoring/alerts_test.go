//go:build examples

package monitoring_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// A rule is a rule that Prometheus has loaded.
type rule struct {
	Name, Health, LastError string
}

func checkRules(ctx context.Context, t *testing.T, p *prometheus) {
	t.Helper()
	var data struct{ Groups []struct{ Rules []rule } }
	p.get(ctx, t, "/api/v1/rules", nil, &data)
	loaded := make(map[string]bool)
	for _, g := range data.Groups {
		for _, r := range g.Rules {
			loaded[r.Name] = true
			if r.Health != "ok" || r.LastError != "" {
				t.Errorf("%s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	for _, name := range append(alertNames(t), "scribegate:queue_max_bytes", "scribegate:provider_limit") {
		if !loaded[name] {
			t.Errorf("%s is not loaded", name)
		}
	}
	t.Logf("%d rules", len(loaded))
}

// An alert is an alert that is pending or firing.
type alert struct {
	State               string
	Labels, Annotations map[string]string
}

// about returns the alert's name with its provider and kind, or its upstream.
func (a alert) about() string {
	about := []string{a.Labels["alertname"]}
	for _, label := range []string{"provider", "kind", "upstream"} {
		if value := a.Labels[label]; value != "" {
			about = append(about, value)
		}
	}
	return strings.Join(about, " ")
}

// firing returns the firing alerts by what they are about.
func firing(ctx context.Context, t *testing.T, p *prometheus) map[string]alert {
	t.Helper()
	var data struct{ Alerts []alert }
	p.get(ctx, t, "/api/v1/alerts", nil, &data)
	found := make(map[string]alert)
	for _, a := range data.Alerts {
		if a.State == "firing" {
			found[a.about()] = a
		}
	}
	return found
}

// checkAlerts waits until the alerts that the traffic should fire are firing, and
// checks that no other alert is.
func checkAlerts(ctx context.Context, t *testing.T, p *prometheus) {
	t.Helper()
	want := []string{
		"ScribegateDeadLetters lab",
		"ScribegateDeliveriesFailing lab",
		"ScribegateDeliveriesFailing warehouse",
		"ScribegateEventsRefused soapnoteapi",
		"ScribegateOldSecretInUse soapnoteapi",
		"ScribegateProviderAccountFilling soniox files",
		"ScribegateProviderAccountFilling soniox transcriptions",
		"ScribegateQuarantinedEvents",
		"ScribegateSecretMismatch soapnoteapi",
		"ScribegateSecretMismatch soniox",
		"ScribegateTimestampsRefused soapnoteapi",
		"ScribegateUnrouted soapnoteapi",
		"ScribegateUpstreamPaused archive",
		"ScribegateUpstreamPaused away",
		"ScribegateWatchdog",
	}
	var got []string
	eventually(ctx, t, "the alerts", func() string {
		got = slices.Sorted(maps.Keys(firing(ctx, t, p)))
		for _, name := range want {
			if !slices.Contains(got, name) {
				return fmt.Sprintf("%s does not fire; firing are %q", name, got)
			}
		}
		return ""
	})
	for _, name := range got {
		// This alert depends on how often archive was probed until now.
		if !slices.Contains(want, name) && name != "ScribegateDeliveriesFailing archive" {
			t.Errorf("%s fires and should not", name)
		}
	}
	t.Logf("firing: %s", strings.Join(got, ", "))
}

// runCommands runs every command in the descriptions of the firing alerts, and checks
// that the command of ScribegateDeadLetters ends that alert.
func runCommands(ctx context.Context, t *testing.T, p *prometheus, s *site) {
	t.Helper()
	s.repaired.Store(true)
	ran := 0
	for name, a := range firing(ctx, t, p) {
		for _, args := range commands(a.Annotations["description"]) {
			if strings.Contains(strings.Join(args, " "), "<") {
				continue // it has a part that the user fills in
			}
			t.Logf("%s: caddy %s", name, strings.Join(args, " "))
			run(ctx, t, s.binary, append(args, "--address", s.admin())...)
			ran++
		}
	}
	if ran == 0 {
		t.Error("no alert has a command")
	}
	eventually(ctx, t, "the delivery of the replayed events", func() string {
		if a, ok := firing(ctx, t, p)["ScribegateDeadLetters lab"]; ok {
			return fmt.Sprintf("still firing: %+v", a)
		}
		return ""
	})
}
