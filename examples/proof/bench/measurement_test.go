package main

import (
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
)

func TestCeiling(t *testing.T) {
	t.Parallel()
	r, err := load.NewResponder(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Start().Close)
	s, err := ceiling(t.Context(), load.Target{Address: r.Address()}, load.Spec{Path: "/", Secret: gateway.NewSecret(), Body: load.NoteBody(126)}, 2, 100*time.Millisecond)
	if err != nil || s.Rate <= 0 || s.P50 <= 0 || s.Own <= 0 {
		t.Errorf("ceiling() = %+v, %v", s, err)
	}
}
