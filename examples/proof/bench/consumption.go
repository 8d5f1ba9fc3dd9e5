package main

import (
	"errors"
	"runtime"
	"time"
)

// A consumption is the processor time that was used until a moment.
type consumption struct {
	at      time.Time
	gateway time.Duration
	own     time.Duration // by the load generator and the backends
	machine time.Duration // by everybody
}

// consumed is what was used by now; pid is the gateway's process.
func consumed(pid int) (c consumption, err error) {
	var errs [3]error
	c.at = time.Now()
	c.gateway, errs[0] = processorTime(pid)
	c.own, errs[1] = ownProcessorTime()
	c.machine, errs[2] = busyTime()
	return c, errors.Join(errs[:]...)
}

// others is the share of the machine's processors that went to somebody else
// until a later moment.
func (c consumption) others(to consumption) float64 {
	others := (to.machine - c.machine) - (to.gateway - c.gateway) - (to.own - c.own)
	whole := to.at.Sub(c.at).Seconds() * float64(runtime.NumCPU())
	return max(0, others.Seconds()/whole)
}
