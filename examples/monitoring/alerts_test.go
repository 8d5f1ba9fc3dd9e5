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

// A rule is one as Prometheus has loaded it.
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
	for _, name := range append(alertNames(t), "scribegate:queue_max_bytes") {
		if !loaded[name] {
			t.Errorf("%s is not loaded", name)
		}
	}
	t.Logf("%d rules", len(loaded))
}

// An alert is one that is pending or firing.
type alert struct {
	State               string
	Labels, Annotations map[string]string
}

// about names the alert and what it is about.
func (a alert) about() string {
	return strings.TrimSpace(a.Labels["alertname"] + " " + a.Labels["provider"] + a.Labels["upstream"])
}

// firing returns the alerts that fire, by what they are about.
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

// checkAlerts waits for the alerts that the traffic sets off, and sees that no
// other fires.
func checkAlerts(ctx context.Context, t *testing.T, p *prometheus) {
	t.Helper()
	want := []string{
		"ScribegateDeadLetters lab",
		"ScribegateDeliveriesFailing lab",
		"ScribegateDeliveriesFailing warehouse",
		"ScribegateEventsRefused soapnoteapi",
		"ScribegateOldSecretInUse soapnoteapi",
		"ScribegateQuarantinedEvents",
		"ScribegateSecretMismatch soapnoteapi",
		"ScribegateSecretMismatch soniox",
		"ScribegateTimestampsRefused soapnoteapi",
		"ScribegateUnrouted soapnoteapi",
		"ScribegateUpstreamPaused archive",
		"ScribegateUpstreamPaused away",
	}
	var got []string
	eventually(ctx, t, "the alerts", func() string {
		got = slices.Sorted(maps.Keys(firing(ctx, t, p)))
		for _, name := range want {
			if !slices.Contains(got, name) {
				return fmt.Sprintf("%s does not fire; there are %q", name, got)
			}
		}
		return ""
	})
	for _, name := range got {
		// How often archive was probed is a matter of time.
		if !slices.Contains(want, name) && name != "ScribegateDeliveriesFailing archive" {
			t.Errorf("%s fires", name)
		}
	}
	t.Logf("firing: %s", strings.Join(got, ", "))
}

// runCommands runs every command that a firing alert tells to run, and sees
// that the one about dead events repairs what it is about.
func runCommands(ctx context.Context, t *testing.T, p *prometheus, s *site) {
	t.Helper()
	s.mended.Store(true)
	ran := 0
	for name, a := range firing(ctx, t, p) {
		for _, args := range commands(a.Annotations["description"]) {
			if strings.Contains(strings.Join(args, " "), "<") {
				continue // the user is to fill something in
			}
			t.Logf("%s: caddy %s", name, strings.Join(args, " "))
			run(ctx, t, s.binary, append(args, "--address", s.admin())...)
			ran++
		}
	}
	if ran == 0 {
		t.Error("no alert tells a command")
	}
	eventually(ctx, t, "the replayed events to be taken", func() string {
		if a, ok := firing(ctx, t, p)["ScribegateDeadLetters lab"]; ok {
			return fmt.Sprintf("there is still %+v", a)
		}
		return ""
	})
}
