package probe

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

func TestBusyTime(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want time.Duration
	}{
		"a machine":             {"cpu  100 10 200 9999 8888 5 6 79 50 3\ncpu0 1 2 3 4 5 6 7 8 9 10\n", 4 * time.Second},
		"an invalid first line": {"cpu  100 10 x 9999 8888 5 6 79 50 3\n", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			fs, err := procfs.NewFS(dir)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := busyTime(fs); got != tt.want || (err == nil) != (tt.want > 0) {
				t.Errorf("busyTime() = %s, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// The children's time counts, that of those that have ended too, and no other process's.
func TestFamilyTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for pid, stat := range map[string]string{
		"10": "10 (postgres) S 1 10 10 0 -1 0 0 0 0 0 100 50 30 20",
		"11": "11 (postgres) S 10 10 10 0 -1 0 0 0 0 0 200 0 0 0",
		"12": "12 (postgres) S 10 10 10 0 -1 0 0 0 0 0 0 100 9000 9000",
		"13": "13 (other) S 1 13 13 0 -1 0 0 0 0 0 9000 9000 0 0",
	} {
		if err := os.MkdirAll(filepath.Join(dir, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, pid, "stat"), []byte(stat+strings.Repeat(" 0", 40)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fs, err := procfs.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := familyTime(fs, 10); err != nil || got != 5*time.Second {
		t.Errorf("familyTime() = %s, %v, want 5 s", got, err)
	}
	if _, err := familyTime(fs, 14); err == nil {
		t.Error("familyTime() = nil for a process that does not exist")
	}
}

func TestOthers(t *testing.T) {
	t.Parallel()
	at := time.Now()
	from := Consumption{At: at, Gateway: time.Second, Own: time.Second, machine: 10 * time.Second}
	to := Consumption{At: at.Add(2 * time.Second), Gateway: 2 * time.Second, Own: 1500 * time.Millisecond, Server: 250 * time.Millisecond, machine: 12 * time.Second}
	if got, want := from.Others(to), 0.125/float64(runtime.NumCPU()); got != want {
		t.Errorf("Others() = %v, want %v: a quarter of a second of two", got, want)
	}
	if got := from.Others(Consumption{At: to.At, Gateway: 9 * time.Second}); got != 0 {
		t.Errorf("Others() = %v, want none rather than fewer", got)
	}
}
