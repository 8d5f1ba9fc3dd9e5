package wording

import (
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

func TestDatabase(t *testing.T) {
	t.Parallel()
	for want, s := range map[string]admin.StandbyStatus{
		"how far it is behind is not visible to this role; allow it: GRANT pg_read_all_stats TO <role>": {Name: "a"},
		"synchronous, has everything":             {StandbyLag: &admin.StandbyLag{Synchronous: true}},
		"asynchronous, 2.0 KiB behind":            {StandbyLag: &admin.StandbyLag{LagBytes: 2048}},
		"asynchronous, 3.0 MiB and 12.3ms behind": {StandbyLag: &admin.StandbyLag{LagBytes: 3 << 20, LagSeconds: 0.01234}},
	} {
		if got := Standby(s); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, s := range map[string]float64{"not known yet": 0, "312µs": 0.000312, "12.3ms": 0.0123, "2.1s": 2.1} {
		if got := RoundTrip(admin.DatabaseStatus{RoundTripSeconds: s}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
