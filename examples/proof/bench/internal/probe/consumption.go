package probe

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/procfs"
)

// A Consumption is the processor time that was used until a time.
type Consumption struct {
	At      time.Time
	Gateway time.Duration
	Own     time.Duration // of the load generator and the backends
	machine time.Duration // of all processes
}

// Consumed returns the processor time used until now. pid is the gateway's process.
func Consumed(pid int) (c Consumption, err error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return c, fmt.Errorf("measuring processor time: %w", err)
	}
	var errs [3]error
	c.At = time.Now()
	c.Gateway, errs[0] = processorTime(pid)
	c.Own, errs[1] = OwnProcessorTime()
	c.machine, errs[2] = busyTime(fs)
	return c, errors.Join(errs[:]...)
}

// Others returns the share of the machine's processors that other processes used until to.
func (c Consumption) Others(to Consumption) float64 {
	others := (to.machine - c.machine) - (to.Gateway - c.Gateway) - (to.Own - c.Own)
	whole := to.At.Sub(c.At).Seconds() * float64(runtime.NumCPU())
	return max(0, others.Seconds()/whole)
}
