package boltqueue

import "time"

// While nobody waits for a commit, the committing goroutine waits for more: what
// is in the journal is durable, and an outcome has been acted on. The fuller a
// commit, the less of it falls to each event, and what is delivered meanwhile
// leaves its trace in the file only. It waits as long as more comes in each
// lingerStep, lingerTime at most, and until there is enough; under load, then,
// about so much stays in memory.
const (
	lingerStep  = 4 * time.Millisecond
	lingerTime  = 100 * time.Millisecond
	lingerCount = 8 * batchStores
	lingerBytes = segmentBytes / 2 // of sealed payloads, so that the journal has room
)

// linger waits until somebody waits for a commit, until it is worth one, until
// nothing more comes, or until it has taken long.
func (q *Queue) linger() {
	end := time.Now().Add(lingerTime)
	for before := 0; time.Now().Before(end); {
		n := q.intake.patience()
		if n == before {
			return
		}
		before = n
		q.pause.Reset(lingerStep)
		if !q.lingerStep() {
			return
		}
	}
}

// lingerStep waits for a step, and returns false if somebody waits for a commit
// or it is worth one.
func (q *Queue) lingerStep() bool {
	defer q.pause.Stop()
	for {
		select {
		case <-q.pause.C:
			return true
		case <-q.intake.hurry:
			if q.intake.patience() == 0 {
				return false
			}
		case <-q.compaction.ready():
			q.step()
		case <-q.closing:
			return false
		}
	}
}

// patience returns how much waits for a commit, or 0 if somebody waits for it or
// it is worth one.
func (in *intake) patience() int {
	if in.pressed.Load() {
		return 0
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.worth() {
		return 0
	}
	return len(in.stores) + len(in.outcomes)
}

// worth reports whether so much waits that more would not make a commit cheaper.
// in.mu is held.
func (in *intake) worth() bool {
	return len(in.stores)+len(in.outcomes) >= lingerCount || in.bytes >= lingerBytes
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
