package queue

import "time"

const (
	// clockSlack is how far the wall clock may differ from the expected time without
	// counting as a jump.
	clockSlack = time.Minute

	// clockConfirmed is how long the wall clock must run on after a jump before the
	// AgeClock accepts it.
	clockConfirmed = time.Hour
)

// An AgeClock returns the time by which an engine computes the age of events and ids,
// for their retention and for the dedupe window. It is not safe for concurrent use.
//
// A wall clock can jump, for example on a machine with a bad real-time clock. The
// AgeClock accepts a jump after the wall clock has run on from there for an hour. Until
// then the correct time is either the wall clock's time or the time that the wall clock
// would show without the jump. A long time off looks like a clock that was set ahead,
// and is handled in the same way.
type AgeClock struct {
	believed time.Time     // what the wall clock would show without the jump
	elapsed  time.Duration // at the time of believed

	jump  time.Duration // how far the wall clock is ahead of believed (negative: behind); 0 if there is no jump
	since time.Duration // the elapsed time at the jump
}

// NewAgeClock returns an AgeClock for a store. lastUsed is the newest earliest time of
// Now that the engine has written to the store; it is zero for a new store. An engine
// writes it with every durable change, at least once an hour, and when it closes the
// store. elapsed is the monotonic time, as in Now.
func NewAgeClock(lastUsed time.Time, elapsed time.Duration) *AgeClock {
	return &AgeClock{believed: lastUsed, elapsed: elapsed}
}

// Now returns the earliest and the latest possible time. wall is the wall clock's time;
// elapsed is the monotonic time since any fixed moment. The two results differ only
// after a jump. An engine records the end of an event with the latest time and computes
// the event's age with the earliest, so that it deletes nothing too early.
func (c *AgeClock) Now(wall time.Time, elapsed time.Duration) (earliest, latest time.Time) {
	wall = wall.Round(0) // without the monotonic reading, which would hide a jump
	if c.believed.IsZero() {
		c.believed, c.elapsed = wall, elapsed
	}
	c.believed, c.elapsed = c.believed.Add(elapsed-c.elapsed), elapsed
	jump := wall.Sub(c.believed)
	switch {
	case jump.Abs() <= clockSlack:
		c.believed, c.jump = wall, 0
	case (jump - c.jump).Abs() > clockSlack:
		c.jump, c.since = jump, elapsed
	case elapsed-c.since >= clockConfirmed:
		c.believed, c.jump = wall, 0
	}
	if wall.Before(c.believed) {
		return wall, c.believed
	}
	return c.believed, wall
}

// Ahead returns how far the wall clock has jumped ahead, or 0 if there is no such jump.
func (c *AgeClock) Ahead() time.Duration { return max(0, c.jump) }
