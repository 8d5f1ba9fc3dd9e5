package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

var seen = []incident{
	{fault: "an upstream went away", log: 40 * time.Millisecond, status: time.Second, event: 1200 * time.Millisecond, alert: "Held", condition: time.Second, repair: time.Minute},
	{fault: "a secret was rotated", status: notVisible, alert: "Held"},
}

func TestTableOf(t *testing.T) {
	t.Parallel()
	m := monitoring{" scrape_interval: 10s\n evaluation_interval: 10s", "- alert: Held\n  for: 20s\n"}
	table, err := tableOf(seen, m)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(table, "\n")
	if len(lines) != 4 || len(lines[1]) != len(lines[2]) {
		t.Fatalf("the table is\n%s", table)
	}
	for i, want := range []string{"an upstream went away 0.0s 1.0s 1.2s 41.0s Held 60.0s", "a secret was rotated 0.0s - 0.0s 40.0s Held 0.0s"} {
		if got := strings.Join(strings.Fields(lines[i+1]), " "); got != want {
			t.Errorf("a row is %q, want %q", got, want)
		}
	}
	if _, err := tableOf(seen, monitoring{}); err == nil {
		t.Error("tableOf() without the monitoring = nil")
	}
}

func TestTooSlow(t *testing.T) {
	t.Parallel()
	if wrong := tooSlow(seen); len(wrong) > 0 {
		t.Errorf("tooSlow() = %q", wrong)
	}
	slow := visibility + 1
	if wrong := tooSlow([]incident{{fault: "all of it", log: slow, status: slow, event: slow, repair: slow}}); len(wrong) != 4 {
		t.Errorf("tooSlow() = %q, want four", wrong)
	}
}

// tooSlow returns the times that are longer than visibility allows.
func tooSlow(all []incident) (wrong []string) {
	for _, s := range all {
		for _, place := range []struct {
			name string
			took time.Duration
		}{{"visible in the log", s.log}, {"visible in status", s.status}, {"visible in Caddy's events", s.event}, {"repaired", s.repair}} {
			if place.took > visibility {
				wrong = append(wrong, fmt.Sprintf("%s: %s only after %s", s.fault, place.name, place.took))
			}
		}
	}
	return wrong
}
