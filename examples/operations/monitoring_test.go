package main

import (
	"path/filepath"
	"testing"
	"time"
)

func TestWithin(t *testing.T) {
	t.Parallel()
	const rules = `
      - alert: Held
        expr: up == 0 # for: ever
        for: 25s
      # A comment, for: 1h in it.
      - alert: AtOnce
        expr: x > 0
        labels:
          severity: critical
      - alert: Wrong
        for: ever
      - alert: Last
        for: 5m # why
`
	const prometheus = "global:\n  scrape_interval: 15s # often\n  evaluation_interval: 10s\n"
	tests := map[string]struct {
		monitoring monitoring
		want       time.Duration // 0 is an error
	}{
		"Held":                         {monitoring{prometheus, rules}, 55 * time.Second},
		"AtOnce":                       {monitoring{prometheus, rules}, 25 * time.Second},
		"Last":                         {monitoring{prometheus, rules}, 25*time.Second + 5*time.Minute},
		"Wrong":                        {monitoring{prometheus, rules}, 0},
		"Hel":                          {monitoring{prometheus, rules}, 0},
		"AtOnce without a scrape":      {monitoring{" evaluation_interval: 10s", rules}, 0},
		"AtOnce without an evaluation": {monitoring{" scrape_interval: 10s", rules}, 0},
		"AtOnce with a wrong scrape":   {monitoring{" scrape_interval: often\n evaluation_interval: 10s", rules}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alert := name
			if len(alert) > len("AtOnce") {
				alert = "AtOnce"
			}
			got, err := tt.monitoring.within(alert)
			if got != tt.want || (err == nil) != (tt.want > 0) {
				t.Errorf("within() = %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// TestAlertsComeWithinAMinute checks the alerts of the shipped files.
func TestAlertsComeWithinAMinute(t *testing.T) {
	t.Parallel()
	m, err := readMonitoring(filepath.Join("..", "monitoring"))
	if err != nil {
		t.Fatal(err)
	}
	for _, alert := range []string{"ScribegateUpstreamPaused", "ScribegateNothingGenuine", "ScribegateDeliveriesFailing"} {
		if got, err := m.within(alert); err != nil || got <= 0 || got > visibility {
			t.Errorf("within(%s) = %s, %v, want at most %s", alert, got, err, visibility)
		}
	}
	if _, err := readMonitoring(t.TempDir()); err == nil {
		t.Error("readMonitoring() of an empty folder = nil")
	}
}
