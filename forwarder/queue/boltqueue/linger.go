package boltqueue

import "time"

// How long the committing goroutine waits for more, and for how many at most,
// while nobody waits for it: what is in the journal is durable, and an outcome
// has been acted on. The fuller a commit, the less of it falls to each event.
const (
	lingerTime  = 4 * time.Millisecond
	lingerCount = 128
)

// linger waits until somebody waits for a commit, until it is worth one, or for
// a moment.
func (q *Queue) linger() {
	if !q.intake.patient() {
		return
	}
	q.pause.Reset(lingerTime)
	defer q.pause.Stop()
	for q.intake.patient() {
		select {
		case <-q.pause.C:
			return
		case <-q.closing:
			return
		case <-q.intake.hurry:
		case <-q.compaction.ready():
			q.step()
		}
	}
}

// patient reports whether something waits, little of it, and nobody for it.
func (in *intake) patient() bool {
	if in.pressed.Load() {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.stores) + len(in.outcomes)
	return n > 0 && n < lingerCount
}

// press says that somebody waits for the next commit.
func (in *intake) press() {
	in.pressed.Store(true)
	in.prompt()
}

func (in *intake) prompt() {
	select {
	case in.hurry <- struct{}{}:
	default:
	}
}
