package load

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lasts, stops time.Duration
		count        int64 // one each millisecond, and one before the beginning
		in           time.Duration
	}{
		"the end":                    {time.Second, 1500 * time.Millisecond, 1000, time.Second},
		"the batch was empty":        {time.Second, 300 * time.Millisecond, 300, 300 * time.Millisecond},
		"as long as it takes":        {0, 1500 * time.Millisecond, 1500, 1500 * time.Millisecond},
		"the last answer at the end": {time.Second, time.Second + time.Nanosecond, 1000, time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				v := Phase{Lasts: tt.lasts, Count: func() int64 { return 1 + time.Since(begin).Milliseconds() }}
				c := newClock(v, begin)
				time.Sleep(tt.stops)
				synctest.Wait()
				if n, in := c.stop(); n != tt.count || in != tt.in {
					t.Errorf("stop() = %d in %s, want %d in %s", n, in, tt.count, tt.in)
				}
			})
		})
	}
}

func TestClockOfNothing(t *testing.T) {
	t.Parallel()
	if n, in := newClock(Phase{Lasts: time.Second}, at).stop(); n != 0 || in != 0 {
		t.Errorf("stop() = %d in %s", n, in)
	}
}
