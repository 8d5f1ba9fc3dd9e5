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
	Gateway time.Duration // of all gateways
	Server  time.Duration // of the database
	Own     time.Duration // of the load generator and the backends, with children that have ended
	machine time.Duration // of all processes
}

// Consumed returns the processor time used until now. server is the first process of the
// database, or 0 if there is none, and gateways are the gateways' processes.
func Consumed(server int, gateways ...int) (c Consumption, err error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return c, fmt.Errorf("measuring processor time: %w", err)
	}
	c.At = time.Now()
	var errs []error
	for _, pid := range gateways {
		used, err := processorTime(fs, pid)
		c.Gateway, errs = c.Gateway+used, append(errs, err)
	}
	var err1, err2, err3 error
	if server != 0 {
		c.Server, err1 = familyTime(fs, server)
	}
	c.Own, err2 = OwnProcessorTime()
	c.machine, err3 = busyTime(fs)
	return c, errors.Join(append(errs, err1, err2, err3)...)
}

// Others returns the share of the machine's processors that other processes used until to.
func (c Consumption) Others(to Consumption) float64 {
	others := (to.machine - c.machine) - (to.Gateway - c.Gateway) - (to.Server - c.Server) - (to.Own - c.Own)
	whole := to.At.Sub(c.At).Seconds() * float64(runtime.NumCPU())
	return max(0, others.Seconds()/whole)
}
