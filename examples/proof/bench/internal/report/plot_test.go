package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPlot(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	plot(&out, testRows(), []string{"a processor", "a disk", "an odd fact"})
	text := out.String()
	decoder := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is not XML: %v\n%s", err, text)
		}
	}
	for _, want := range []string{"verify only", "accept &lt;durably&gt;", "0.85", "8,500/s against 10,000/s", "at most 2.00 s, aim 500 ms", "a processor; a disk", "an odd fact", paper} {
		if !strings.Contains(text, want) {
			t.Errorf("the plot does not contain %q:\n%s", want, text)
		}
	}
	for _, not := range []string{"`", ">CPU<", ">never<", "NaN", "%!"} {
		if strings.Contains(text, not) {
			t.Errorf("the plot contains %q:\n%s", not, text)
		}
	}
	// One in the legend, the others are bars.
	for colour, want := range map[string]int{green: 3, blue: 2, orange: 2} {
		if n := strings.Count(text, colour); n != want {
			t.Errorf("the colour %s is used %d times, want %d", colour, n, want)
		}
	}
}

func TestPlotOfNothing(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	plot(&out, nil, nil)
	if !strings.Contains(out.String(), "</svg>") {
		t.Errorf("plot() wrote\n%s", out.String())
	}
}

func TestAxis(t *testing.T) {
	t.Parallel()
	a := axis{most: 2}
	for v, want := range map[float64]float64{-1: barsLeft, 0: barsLeft, 1: (barsLeft + barsRight) / 2, 2: barsRight, 5: barsRight} {
		if got := a.x(v); got != want {
			t.Errorf("x(%v) = %v, want %v", v, got, want)
		}
	}
}
