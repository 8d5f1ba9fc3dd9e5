package queue

import "time"

const (
	// clockSlack is how far the wall clock may differ from the time that has passed
	// and be believed at once.
	clockSlack = time.Minute

	// clockConfirmed is how long the wall clock must go on from where it has
	// jumped to, to be believed.
	clockConfirmed = time.Hour
)

// An AgeClock returns the time by which an engine judges the age of events and ids,
// for their retention and for the dedupe window. It is for one goroutine at a time.
//
// A wall clock that has jumped, as it does on a machine with a bad real-time clock,
// is believed once it has gone on from there for an hour. Until then the time is
// either what the wall clock shows or what it would show without the jump. The same
// applies after a long time off, which looks like a clock that was set ahead.
type AgeClock struct {
	believed time.Time     // what the wall clock would show without the jump
	elapsed  time.Duration // at that time

	jump  time.Duration // how far the wall clock is ahead of that, or behind; 0 while it is believed
	since time.Duration // the elapsed time at the jump
}

// NewAgeClock returns an AgeClock for a store whose newest known time is lastUsed:
// an earliest that Now returned and the engine has written to the store, which it does
// with every durable change, at least once an hour, and when it is closed. For a new
// store it is zero. Elapsed is the time that has passed, as in Now.
func NewAgeClock(lastUsed time.Time, elapsed time.Duration) *AgeClock {
	return &AgeClock{believed: lastUsed, elapsed: elapsed}
}

// Now returns the earliest and the latest time that it may be, given what the wall
// clock shows and how much time has passed, by the monotonic clock, since any one
// moment. They differ only after a jump. Nothing is deleted too early where an engine
// notes the latest for the end of an event, and judges by the earliest how long ago
// that was.
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

// Ahead returns how far the wall clock has jumped ahead, or 0 if it is believed.
func (c *AgeClock) Ahead() time.Duration { return max(0, c.jump) }
