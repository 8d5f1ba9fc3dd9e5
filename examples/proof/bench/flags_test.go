package main

import (
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args                string
		rounds, large       int
		slice               time.Duration
		table, grid, growth bool
	}{
		"nothing":               {"", 5, 1_000_000, 3 * time.Second, true, false, false},
		"quick":                 {"-quick", 1, 20_000, 300 * time.Millisecond, true, false, false},
		"quick, and more":       {"-large 5000 -quick -slice 1s -rounds 2", 2, 5000, time.Second, true, false, false},
		"the grid":              {"-grid", 5, 1_000_000, 3 * time.Second, false, true, false},
		"the growth":            {"-growth", 5, 1_000_000, 3 * time.Second, false, false, true},
		"the grid and growth":   {"-growth -grid", 5, 1_000_000, 3 * time.Second, false, true, true},
		"all":                   {"-all", 5, 1_000_000, 3 * time.Second, true, true, true},
		"all, with the drawing": {"-all -svg f", 5, 1_000_000, 3 * time.Second, true, true, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := parse(strings.Fields(tt.args))
			if err != nil {
				t.Fatal(err)
			}
			if o.rounds != tt.rounds || o.large != tt.large || o.slice != tt.slice || o.table != tt.table || o.grid != tt.grid || o.growth != tt.growth {
				t.Errorf("parse() = %+v", o)
			}
		})
	}
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"accept":           "-lines",
		"-rounds 0":        "-rounds",
		"-slice 1ms":       "-slice",
		"-slice 2h":        "-slice",
		"-large 10":        "-large",
		"-lines (":         "-lines",
		"-lines nonsense":  "-list",
		"-grid -svg f":     "-all",
		"-unknown":         "-unknown",
		"-quick -large 99": "-large",
		"-without":         "-without",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("parse() = %v, want %q in it", err, want)
			}
		})
	}
}
