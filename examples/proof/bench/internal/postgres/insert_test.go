package postgres

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		lasts time.Duration
		want  string
	}{{3 * time.Second, "--time=3"}, {300 * time.Millisecond, "--time=1"}, {1600 * time.Millisecond, "--time=2"}} {
		got := arguments("/dir", "/dir/script", 3, 32, tt.lasts)
		for _, want := range []string{tt.want, "--client=32", "--protocol=prepared", `--define=sealed=\x5a5a5a`, "--file=/dir/script", "--log-prefix=/dir/log"} {
			if !slices.Contains(got, want) {
				t.Errorf("arguments(%s) = %q without %s", tt.lasts, got, want)
			}
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	const out = "pgbench (15.4)\nnumber of transactions actually processed: 12345\nlatency average = 5.0 ms\ninitial connection time = 44.1 ms\ntps = 6172.839506 (without initial connection time)\n"
	if got, err := rate(out); err != nil || got != 6172.839506 {
		t.Errorf("rate() = %v, %v", got, err)
	}
	if _, err := rate("pgbench: error: connection failed"); err == nil || !strings.Contains(err.Error(), "connection failed") {
		t.Errorf("rate() = %v, want what it printed", err)
	}
}

func TestReadLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"log.7": "0 1 2500 0 1796056449 1000\n1 1 900 0 1796056449 1001\n", "log.7.1": "2 1 1200 0 1796056449 1002\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readLogs(filepath.Join(dir, "log.*"))
	if want := []time.Duration{900 * time.Microsecond, 1200 * time.Microsecond, 2500 * time.Microsecond}; err != nil || !slices.Equal(got, want) {
		t.Errorf("readLogs() = %v, %v, want %v", got, err, want)
	}
	for _, text := range []string{"0 1\n", "0 1 failed 0 1 1\n"} {
		if _, err := appendLatencies(nil, strings.NewReader(text)); err == nil {
			t.Errorf("appendLatencies(%q) = nil", text)
		}
	}
}
