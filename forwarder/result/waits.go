package result

import "time"

// waits are the waits between requests about an event: the last one is repeated.
var waits = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute,
}

// maxAwayWait bounds the wait of an event after a request that found the API away. The
// stage's pause spaces such requests, and after it no event should wait for long.
const maxAwayWait = 10 * time.Second

// waitAfter returns the wait after the nth request, from 1.
func waitAfter(n int) time.Duration {
	return waits[min(max(0, n-1), len(waits)-1)]
}
