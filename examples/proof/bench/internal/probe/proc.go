package probe

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// processorTime returns the processor time that a process has used since its start, in
// user and system mode.
func processorTime(fs procfs.FS, pid int) (time.Duration, error) {
	p, err := fs.Proc(pid)
	if err != nil {
		return 0, fmt.Errorf("measuring the processor time of a process: %w", err)
	}
	stat, err := p.Stat()
	if err != nil {
		return 0, fmt.Errorf("measuring the processor time of a process: %w", err)
	}
	return seconds(stat.CPUTime()), nil
}

// ticks is the unit of a process's times: Linux reports them in hundredths of a second.
const ticks = 100

// familyTime returns the processor time that a process has used since its start, with its
// children, those that have ended too.
func familyTime(fs procfs.FS, pid int) (time.Duration, error) {
	all, err := fs.AllProcs()
	if err != nil {
		return 0, fmt.Errorf("measuring the processor time of the database: %w", err)
	}
	sum, found := 0.0, false
	for _, p := range all {
		stat, err := p.Stat()
		if err != nil {
			continue // it has ended meanwhile
		}
		switch {
		case p.PID == pid:
			found = true
			sum += stat.CPUTime() + float64(stat.CUTime+stat.CSTime)/ticks
		case stat.PPID == pid:
			sum += stat.CPUTime()
		}
	}
	if !found {
		return 0, fmt.Errorf("measuring the processor time of the database: there is no process %d", pid)
	}
	return seconds(sum), nil
}

// busyTime returns the time that all processors of the machine have been busy since its
// start. It includes time that other virtual machines have stolen.
func busyTime(fs procfs.FS) (time.Duration, error) {
	stat, err := fs.Stat()
	if err != nil {
		return 0, fmt.Errorf("measuring the machine's processor time: %w", err)
	}
	c := stat.CPUTotal
	return seconds(c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ + c.Steal), nil
}

// AnonymousMemory returns a process's RssAnon in bytes: its memory without mapped files.
func AnonymousMemory(pid int) (uint64, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: %w", err)
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's memory: %w", err)
	}
	return status.RssAnon, nil
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}
