package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/prometheus/procfs"
)

// A consumption is the processor time that was used until a time.
type consumption struct {
	at      time.Time
	gateway time.Duration
	own     time.Duration // of the load generator and the backends
	machine time.Duration // of all processes
}

// consumed returns the processor time used until now. pid is the gateway's process.
func consumed(pid int) (c consumption, err error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return c, fmt.Errorf("measuring processor time: %w", err)
	}
	var errs [3]error
	c.at = time.Now()
	c.gateway, errs[0] = processorTime(pid)
	c.own, errs[1] = ownProcessorTime()
	c.machine, errs[2] = busyTime(fs)
	return c, errors.Join(errs[:]...)
}

// others returns the share of the machine's processors that other processes used until to.
func (c consumption) others(to consumption) float64 {
	others := (to.machine - c.machine) - (to.gateway - c.gateway) - (to.own - c.own)
	whole := to.at.Sub(c.at).Seconds() * float64(runtime.NumCPU())
	return max(0, others.Seconds()/whole)
}
