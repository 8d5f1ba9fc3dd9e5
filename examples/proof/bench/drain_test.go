package main

import (
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	at := time.Now()
	from := progress{at: at, count: 100, Consumption: probe.Consumption{At: at, Gateway: time.Second, Own: time.Second}}
	to := progress{at: at.Add(2 * time.Second), count: 1100, Consumption: probe.Consumption{At: at.Add(2 * time.Second), Gateway: 2 * time.Second, Own: 1500 * time.Millisecond}}
	if s := from.until(to); s.Rate != 500 || s.CPU != 0.001 || s.Own != 0.0005 {
		t.Errorf("until() = %+v, want 500/s with 1 ms and 0.5 ms each", s)
	}
	if s := from.until(from); s.Rate != 0 || s.CPU != 0 || s.Own != 0 {
		t.Errorf("until() = %+v without deliveries", s)
	}
}
