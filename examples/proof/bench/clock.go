package main

import "time"

// A clock reads a volley's counter at the volley's end, though the senders wait a
// little longer for their last answers.
type clock struct {
	count func() int64
	begin time.Time
	from  int64
	timer *time.Timer
	read  chan reading
}

type reading struct {
	at    time.Time
	count int64
}

// newClock starts a volley's clock. It has nothing to do where nothing is counted.
func newClock(s volley, begin time.Time) *clock {
	c := &clock{count: s.count, begin: begin}
	if s.count == nil {
		return c
	}
	c.from = s.count()
	if s.lasts > 0 {
		c.read = make(chan reading, 1)
		c.timer = time.AfterFunc(time.Until(begin.Add(s.lasts)), func() { c.read <- c.look() })
	}
	return c
}

func (c *clock) look() reading { return reading{at: time.Now(), count: c.count()} }

// stop returns what was counted until the end, and in how long. The magazine may
// have been empty before.
func (c *clock) stop() (n int64, in time.Duration) {
	if c.count == nil {
		return 0, 0
	}
	var r reading
	if c.timer != nil && !c.timer.Stop() {
		r = <-c.read
	} else {
		r = c.look()
	}
	return r.count - c.from, r.at.Sub(c.begin)
}
