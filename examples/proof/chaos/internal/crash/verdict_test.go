package crash

import (
	"strings"
	"testing"
	"time"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	working := &killRun{measured: 1, activity: activity{worked: "reloads"}}
	working.works.Store(1)
	tests := map[string]struct {
		err  error
		want string // "" means none
	}{
		"a kill, recovered":      {(&killRun{measured: 1, recovery: 2 * time.Second}).verdict(), ""},
		"a kill, too late":       {(&killRun{measured: 1, recovery: 2001 * time.Millisecond}).verdict(), "2s is promised"},
		"a kill, nothing waited": {(&killRun{}).verdict(), "no event waited"},
		"a kill, work was done":  {working.verdict(), ""},
		"a kill, no work":        {(&killRun{measured: 1, activity: working.activity}).verdict(), "reloads: there was none"},

		"a cold start":             {coldStart{accepted: time.Second, delivered: time.Second, memory: 80 << 20}.verdict(20<<20, 80<<20), ""},
		"a start accepts late":     {coldStart{accepted: 3 * time.Second}.verdict(0, 0), "accepted after 3.00 s"},
		"a start delivers late":    {coldStart{delivered: 3 * time.Second}.verdict(0, 0), "delivered after 3.00 s"},
		"memory before the kill":   {coldStart{}.verdict(20<<20, 90<<20), "20.0 MiB without it, 90.0 MiB with it"},
		"memory after the start":   {coldStart{memory: 90 << 20}.verdict(20<<20, 0), "20.0 MiB without it, 90.0 MiB with it"},
		"a compaction":             {measurement{during: time.Second}.verdict(), ""},
		"a compaction delays":      {measurement{during: 3 * time.Second}.verdict(), "delayed an answer for 3.00 s"},
		"a file shrunk":            {shrunk(100<<20, 25<<20), ""},
		"a file not shrunk":        {shrunk(100<<20, 26<<20), "still has 26.0 MiB"},
		"kills in compactions":     {kills{times: 2, within: 1, recovery: time.Second}.verdict(), ""},
		"no kill in a compaction":  {kills{times: 2}.verdict(), "no kill came"},
		"a compaction, late start": {kills{within: 1, recovery: 3 * time.Second}.verdict(), "3.00 s after a start"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tt.err != nil) != (tt.want != "") || tt.err != nil && !strings.Contains(tt.err.Error(), tt.want) {
				t.Errorf("error %v, want %q", tt.err, tt.want)
			}
		})
	}
}
