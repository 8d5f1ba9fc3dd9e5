package wording

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

// RoundTrip returns in words how long a request to the database takes.
func RoundTrip(d admin.DatabaseStatus) string {
	if d.RoundTripSeconds <= 0 {
		return "not known yet"
	}
	return seconds(d.RoundTripSeconds)
}

// Standby returns in words whether the database waits for a standby, and how far it is behind.
func Standby(s admin.StandbyStatus) string {
	if s.StandbyLag == nil {
		return "how far it is behind is not visible to this role; allow it: GRANT pg_read_all_stats TO <role>"
	}
	kind := "asynchronous"
	if s.Synchronous {
		kind = "synchronous"
	}
	switch {
	case s.LagBytes == 0:
		return kind + ", has everything"
	case s.LagSeconds == 0:
		return fmt.Sprintf("%s, %s behind", kind, Size(s.LagBytes))
	}
	return fmt.Sprintf("%s, %s and %s behind", kind, Size(s.LagBytes), seconds(s.LagSeconds))
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}
