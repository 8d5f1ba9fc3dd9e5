package main

import (
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	from := progress{reading{at: at, count: 100}, consumption{at: at, gateway: time.Second, own: time.Second}}
	to := progress{reading{at: at.Add(2 * time.Second), count: 1100}, consumption{at: at.Add(2 * time.Second), gateway: 2 * time.Second, own: 1500 * time.Millisecond}}
	if s := from.until(to); s.rate != 500 || s.cpu != 0.001 || s.own != 0.0005 {
		t.Errorf("until() = %+v, want 500/s with 1 ms and 0.5 ms each", s)
	}
	if s := from.until(from); s.rate != 0 || s.cpu != 0 || s.own != 0 {
		t.Errorf("until() = %+v without deliveries", s)
	}
}
