package probe

import (
	"bytes"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

func TestFdatasyncs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	times, err := Fdatasyncs(dir, 50*time.Millisecond)
	if err != nil || len(times) == 0 || !slices.IsSorted(times) || times[0] <= 0 {
		t.Errorf("Fdatasyncs() = %d times, %v", len(times), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left in the directory, %v", left, err)
	}
	if _, err := Fdatasyncs(dir+"/missing", time.Millisecond); err == nil {
		t.Error("Fdatasyncs() = nil in a directory that is not there")
	}
}

func TestOwnFigures(t *testing.T) {
	t.Parallel()
	own, err := OwnProcessorTime()
	if err != nil || own <= 0 {
		t.Errorf("OwnProcessorTime() = %s, %v", own, err)
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	used, err := processorTime(fs, os.Getpid())
	if err != nil || used > own+time.Second {
		t.Errorf("processorTime() = %s, %v; OwnProcessorTime() was %s", used, err, own)
	}
	used8 := bytes.Repeat([]byte{1}, 8<<20)
	if memory, err := AnonymousMemory(os.Getpid()); err != nil || memory < uint64(len(used8)) {
		t.Errorf("AnonymousMemory() = %d, %v", memory, err)
	}
	runtime.KeepAlive(used8)
	if _, err := processorTime(fs, -1); err == nil {
		t.Error("processorTime() = nil for a process that does not exist")
	}
	if _, err := AnonymousMemory(-1); err == nil {
		t.Error("AnonymousMemory() = nil for a process that does not exist")
	}
}
