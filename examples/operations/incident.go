package main

import (
	"fmt"
	"strings"
	"time"
)

// notVisible is the time for a place that does not show the incident at all.
const notVisible time.Duration = -1

// An incident has the times from its start until it was visible in different places.
type incident struct {
	fault     string
	log       time.Duration
	status    time.Duration // in `caddy scribegate status`
	event     time.Duration // in Caddy's events
	alert     string        // the alert's name
	condition time.Duration // when the alert's condition became true
	repair    time.Duration // from the repair, or the return of the upstream, until everything was delivered
}

// tableOf returns a table of incidents. The time of an alert is not measured: it is
// calculated from the files of the monitoring.
func tableOf(all []incident, m monitoring) (string, error) {
	const row = "%-22s  %5s  %6s  %11s  %9s  %-27s  %5s\n"
	var table strings.Builder
	fmt.Fprintf(&table, row, "INCIDENT", "LOG", "STATUS", "CADDY EVENT", "ALERT BY", "", "REPAIR")
	for _, s := range all {
		within, err := m.within(s.alert)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&table, row, s.fault, seconds(s.log), seconds(s.status), seconds(s.event), seconds(s.condition+within), s.alert, seconds(s.repair))
	}
	return table.String(), nil
}

func seconds(d time.Duration) string {
	if d == notVisible {
		return "-"
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
