package load

import "time"

// A clock reads a phase's counter at the end of the phase, although the workers still wait for
// their last answers then.
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

// newClock starts a clock. Without a counter it does nothing.
func newClock(s Phase, begin time.Time) *clock {
	c := &clock{count: s.Count, begin: begin}
	if s.Count == nil {
		return c
	}
	c.from = s.Count()
	if s.Lasts > 0 {
		c.read = make(chan reading, 1)
		c.timer = time.AfterFunc(time.Until(begin.Add(s.Lasts)), func() { c.read <- c.look() })
	}
	return c
}

func (c *clock) look() reading { return reading{at: time.Now(), count: c.count()} }

// stop returns the number counted until the end of the phase, and the duration. The phase ends
// earlier if its batch is empty.
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
