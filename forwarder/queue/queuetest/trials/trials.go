// Package trials returns how often a test repeats what it tries.
//
// Tests that damage a file hundreds of times look for lost events, and not for races: with
// the race detector, which makes each trial ten times slower, they make a part of the trials.
package trials

// raceShare is the part of the trials that is made with the race detector.
const raceShare = 8

// Of returns n, or an eighth of it with the race detector, and at least 1.
func Of(n int) int {
	if raceDetector {
		return max(1, n/raceShare)
	}
	return n
}
