package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// monitoring is the texts of prometheus.yml and rules.yml of examples/monitoring.
type monitoring struct{ prometheus, rules string }

func readMonitoring(dir string) (monitoring, error) {
	prometheus, err := os.ReadFile(filepath.Join(dir, "prometheus.yml"))
	if err != nil {
		return monitoring{}, fmt.Errorf("reading Prometheus's intervals: %w", err)
	}
	rules, err := os.ReadFile(filepath.Join(dir, "rules.yml"))
	if err != nil {
		return monitoring{}, fmt.Errorf("reading the alerts: %w", err)
	}
	return monitoring{string(prometheus), string(rules)}, nil
}

// within returns the maximum time from when an alert's condition becomes true until the
// alert fires: one scrape interval, one evaluation interval, and the time in `for`, rounded
// up to evaluations.
func (m monitoring) within(alert string) (time.Duration, error) {
	scrape, err := setting(m.prometheus, `(?m)^ +scrape_interval: (\S+)`)
	if err != nil {
		return 0, err
	}
	evaluation, err := setting(m.prometheus, `(?m)^ +evaluation_interval: (\S+)`)
	if err != nil {
		return 0, err
	}
	rule := regexp.MustCompile(`(?s)- alert: ` + regexp.QuoteMeta(alert) + `\n(.*?)(?:- alert: |\z)`).FindStringSubmatch(m.rules)
	if rule == nil {
		return 0, fmt.Errorf("rules.yml has no alert %s", alert)
	}
	latest := scrape + evaluation
	const hold = `(?m)^ +for: (\S+)`
	if !regexp.MustCompile(hold).MatchString(rule[1]) {
		return latest, nil
	}
	held, err := setting(rule[1], hold)
	if err != nil {
		return 0, err
	}
	if rest := held % evaluation; rest > 0 {
		held += evaluation - rest // the next evaluation fires the alert
	}
	return latest + held, nil
}

func setting(text, pattern string) (time.Duration, error) {
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("prometheus.yml or rules.yml has no match for %q", pattern)
	}
	d, err := time.ParseDuration(found[1])
	if err != nil {
		return 0, fmt.Errorf("prometheus.yml or rules.yml has no duration in %q: %w", found[0], err)
	}
	return d, nil
}
