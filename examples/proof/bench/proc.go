package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// ticks is how many of its ticks Linux counts in a second for its users.
const ticks = 100

var errProc = errors.New("it is not as expected")

// processorTime is what a process has used since its start, in user and system
// mode.
func processorTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's processor time: %w", err)
	}
	d, err := parseStat(string(stat))
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's processor time: /proc/%d/stat: %w", pid, err)
	}
	return d, nil
}

// parseStat reads utime and stime, which are the 14th and the 15th field. The
// second is in parentheses and may hold anything.
func parseStat(stat string) (time.Duration, error) {
	const user, system = 14 - 3, 15 - 3
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= system {
		return 0, errProc
	}
	u, err := strconv.ParseInt(fields[user], 10, 64)
	if err != nil {
		return 0, errProc
	}
	s, err := strconv.ParseInt(fields[system], 10, 64)
	if err != nil {
		return 0, errProc
	}
	return time.Duration(u+s) * time.Second / ticks, nil
}

// busyTime is what all processors of the machine have worked since its start,
// for whomever.
func busyTime() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("measuring the machine's processor time: %w", err)
	}
	d, err := parseBusy(string(stat))
	if err != nil {
		return 0, fmt.Errorf("measuring the machine's processor time: /proc/stat: %w", err)
	}
	return d, nil
}

// parseBusy reads the first line, of all processors: user, nice, system, idle,
// iowait, irq, softirq and steal. Time stolen by other machines counts as theirs.
func parseBusy(stat string) (time.Duration, error) {
	const idle, iowait, last = 4, 5, 8
	line, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(line)
	if len(fields) <= last || fields[0] != "cpu" {
		return 0, errProc
	}
	var sum int64
	for i, field := range fields[:last+1] {
		if i == 0 || i == idle || i == iowait {
			continue
		}
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, errProc
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks, nil
}

// anonymous is a process's RssAnon in bytes: its memory without the mapped queue
// file.
func anonymous(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: %w", err)
	}
	n, err := kibibytes(string(status), "RssAnon:")
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: /proc/%d/status: %w", pid, err)
	}
	return n, nil
}

// kibibytes returns the value of a line in the form of /proc/meminfo, in bytes.
func kibibytes(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%w: there is no line %s", errProc, name)
}
