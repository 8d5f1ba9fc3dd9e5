//go:build examples

package monitoring_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// counted returns the current value of every counter, by its name and labels.
func counted(ctx context.Context, t *testing.T, p *prometheus) map[string]float64 {
	t.Helper()
	all := make(map[string]float64)
	for _, name := range counters() {
		for _, s := range p.query(ctx, t, name) {
			all[fmt.Sprint(s.labels)] = s.values[0]
		}
	}
	return all
}

// checkCounters checks that no counter was reset. The counters of received requests
// must be unchanged, since no request was sent in between.
func checkCounters(ctx context.Context, t *testing.T, p *prometheus, before map[string]float64) {
	t.Helper()
	if len(before) == 0 {
		t.Fatal("there are no counters")
	}
	after := counted(ctx, t, p)
	for name, was := range before {
		is, ok := after[name]
		still := strings.Contains(name, "_received_total") || strings.Contains(name, "_rejected_total") || strings.Contains(name, "_matched_total")
		if !ok || is < was || still && is != was {
			t.Errorf("%s is %v (exported: %v), and was %v", name, is, ok, was)
		}
	}
	for _, name := range counters() {
		for _, s := range p.query(ctx, t, "resets("+name+"[10m])") {
			if s.values[0] != 0 {
				t.Errorf("%s%v was reset %v times", name, s.labels, s.values[0])
			}
		}
	}
	t.Logf("%d counters continued", len(before))
}
