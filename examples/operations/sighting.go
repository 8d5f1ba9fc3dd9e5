package main

import (
	"fmt"
	"strings"
	"time"
)

// unseen is where something does not show an incident at all.
const unseen time.Duration = -1

// A sighting tells how long after its beginning an incident was to be seen, and
// where.
type sighting struct {
	fault  string
	log    time.Duration
	status time.Duration // of `caddy scribegate status`
	event  time.Duration // of Caddy's
	alert  string        // by name
	ripe   time.Duration // when what the alert looks at was so
	over   time.Duration // from the repair, or from the upstream's return, until everything was well
}

// tableOf makes a table of sightings. When an alert comes is not measured, but said
// by the monitoring's files.
func tableOf(all []sighting, m monitoring) (string, error) {
	const row = "%-22s  %5s  %6s  %11s  %9s  %-27s  %5s\n"
	var table strings.Builder
	fmt.Fprintf(&table, row, "INCIDENT", "LOG", "STATUS", "CADDY EVENT", "ALERT BY", "", "REPAIR")
	for _, s := range all {
		within, err := m.within(s.alert)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&table, row, s.fault, seconds(s.log), seconds(s.status), seconds(s.event), seconds(s.ripe+within), s.alert, seconds(s.over))
	}
	return table.String(), nil
}

func seconds(d time.Duration) string {
	if d == unseen {
		return "-"
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}

// late says which sightings took longer than they may.
func late(all []sighting) (wrong []string) {
	for _, s := range all {
		for _, place := range []struct {
			name string
			took time.Duration
		}{{"the log", s.log}, {"status", s.status}, {"Caddy's events", s.event}, {"order", s.over}} {
			if place.took > visibility {
				wrong = append(wrong, fmt.Sprintf("%s: in %s only after %s", s.fault, place.name, place.took))
			}
		}
	}
	return wrong
}
