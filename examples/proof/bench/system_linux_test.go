package main

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestFdatasyncs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	times, err := fdatasyncs(dir, 50*time.Millisecond)
	if err != nil || len(times) == 0 || !slices.IsSorted(times) || times[0] <= 0 {
		t.Errorf("fdatasyncs() = %d times, %v", len(times), err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left in the directory, %v", left, err)
	}
	if _, err := fdatasyncs(dir+"/missing", time.Millisecond); err == nil {
		t.Error("fdatasyncs() = nil in a directory that is not there")
	}
}

func TestOwnFigures(t *testing.T) {
	t.Parallel()
	own, err := ownProcessorTime()
	if err != nil || own <= 0 {
		t.Errorf("ownProcessorTime() = %s, %v", own, err)
	}
	used, err := processorTime(os.Getpid())
	if err != nil || used > own+time.Second {
		t.Errorf("processorTime() = %s, %v; ownProcessorTime() was %s", used, err, own)
	}
	if memory, err := anonymousMemory(os.Getpid()); err != nil || memory < 1<<20 {
		t.Errorf("anonymousMemory() = %d, %v", memory, err)
	}
	if _, err := processorTime(-1); err == nil {
		t.Error("processorTime() = nil for a process that does not exist")
	}
	if _, err := anonymousMemory(-1); err == nil {
		t.Error("anonymousMemory() = nil for a process that does not exist")
	}
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	is := func(states string) bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		return strings.ContainsAny(strings.Fields(string(stat))[2], states)
	}
	reach := func(states string) {
		t.Helper()
		for began := time.Now(); !is(states); time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("the process is in none of the states %s", states)
			}
		}
	}
	if err := suspend(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	reach("T")
	if err := resume(cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	reach("SR")
}
