package main

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

func TestGeneratorNote(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ceiling float64
		want    string
	}{
		"enough":    {300, "3.0 times the gateway's highest rate (100/s): at least"},
		"too slow":  {299, "less than three times"},
		"by itself": {0, "0/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := figures.Outcomes{"respond": {{Sample: figures.Sample{Rate: 1e6}}}, "generator": {{Sample: figures.Sample{Rate: tt.ceiling}}}}
			if tt.ceiling > 0 {
				all["accept"] = []figures.Outcome{{Sample: figures.Sample{Rate: 100}}}
			}
			if got := generatorNote(all); !strings.Contains(got, tt.want) {
				t.Errorf("generatorNote() = %q, want %q in it", got, tt.want)
			}
		})
	}
}
