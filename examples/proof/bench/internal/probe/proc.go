package probe

import (
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// processorTime returns the processor time that a process has used since its start, in
// user and system mode.
func processorTime(pid int) (time.Duration, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's processor time: %w", err)
	}
	stat, err := p.Stat()
	if err != nil {
		return 0, fmt.Errorf("measuring the gateway's processor time: %w", err)
	}
	return seconds(stat.CPUTime()), nil
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
