package ledger

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := NewPauses("a", "b")
		for _, gateway := range []string{"a", "b", "a", "a"} {
			time.Sleep(time.Second)
			p.Accepted(gateway)
		}
		time.Sleep(500 * time.Millisecond)
		for gateway, want := range map[string]time.Duration{"a": 2 * time.Second, "b": 2500 * time.Millisecond, All: time.Second} {
			if got := p.Longest(gateway); got != want {
				t.Errorf("the longest pause of %q is %s, want %s", gateway, got, want)
			}
		}
		if got := time.Since(p.Last("b")); got != 2500*time.Millisecond {
			t.Errorf("b accepted last %s ago", got)
		}
	})
}
