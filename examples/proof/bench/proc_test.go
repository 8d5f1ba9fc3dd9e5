package main

import (
	"runtime"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 1 2 3 0 -1 4194560 100 0 0 0 250 50 7 8 20 0 9 0 100 1000 200"
	tests := map[string]struct {
		text string
		want time.Duration
		good bool
	}{
		"a process":           {"12 (caddy)" + rest, 3 * time.Second, true},
		"a name with a space": {"12 (ca ddy)" + rest, 3 * time.Second, true},
		"a name with a paren": {"12 (ca) S 9 (x)" + rest, 3 * time.Second, true},
		"nothing":             {"", 0, false},
		"cut off":             {"12 (caddy) S 1 2 3 0 -1", 0, false},
		"no number":           {"12 (caddy) S 1 2 3 0 -1 4194560 100 0 0 0 x 50 7", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := parseStat(tt.text); got != tt.want || (err == nil) != tt.good {
				t.Errorf("parseStat() = %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestKibibytes(t *testing.T) {
	t.Parallel()
	const text = "RssFile:\t  100 kB\nRssAnon:\t   20480 kB\nRssShmem: 0 kB\n"
	if got, err := kibibytes(text, "RssAnon:"); got != 20<<20 || err != nil {
		t.Errorf("kibibytes() = %d, %v, want 20 MiB", got, err)
	}
	if _, err := kibibytes(text, "RssOther:"); err == nil {
		t.Error("kibibytes() = nil for a line that is not there")
	}
	if _, err := kibibytes("RssAnon: many kB\n", "RssAnon:"); err == nil {
		t.Error("kibibytes() = nil for what is no number")
	}
}

func TestParseBusy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want time.Duration
		good bool
	}{
		"a machine":     {"cpu  100 10 200 9999 8888 5 6 79 50 3\ncpu0 1 2 3 4 5 6 7 8 9 10\n", 4 * time.Second, true},
		"not the first": {"intr 1\ncpu  100 10 200 9999 8888 5 6 79 50 3\n", 0, false},
		"cut off":       {"cpu  100 10 200", 0, false},
		"no number":     {"cpu  100 10 x 9999 8888 5 6 79 50 3\n", 0, false},
		"nothing":       {"", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := parseBusy(tt.text); got != tt.want || (err == nil) != tt.good {
				t.Errorf("parseBusy() = %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestOthers(t *testing.T) {
	t.Parallel()
	from := consumption{at: at, gateway: time.Second, own: time.Second, machine: 10 * time.Second}
	to := consumption{at: at.Add(2 * time.Second), gateway: 2 * time.Second, own: 1500 * time.Millisecond, machine: 12 * time.Second}
	if got, want := from.others(to), 0.25/float64(runtime.NumCPU()); got != want {
		t.Errorf("others() = %v, want %v: half a second of two", got, want)
	}
	if got := from.others(consumption{at: to.at, gateway: 9 * time.Second}); got != 0 {
		t.Errorf("others() = %v, want none rather than fewer", got)
	}
}
