package report

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

// The layout of the plot, in pixels.
const (
	plotWidth  = 1000.0
	margin     = 24.0
	barsLeft   = 410.0
	barsRight  = 770.0
	lineHeight = 38.0
	barHeight  = 16.0
	mostShown  = 2.6 // longer bars are truncated
)

const plotTitle = "Scribegate beside bare Caddy"

// plot draws the lines that have a goal as bars. If more is better, the bar is the ratio. If less is
// better, it is the share of the allowed maximum.
func plot(out io.Writer, rows []figures.Row, machine []string) {
	d := &drawing{}
	y := margin + 16
	d.write(margin, y, style{18, ink, "start", true}, plotTitle)
	y = legend(d, y+26)
	for _, p := range []panel{
		{"Rates: more is better", "ratio to the baseline named below each line", false},
		{"Times and memory: less is better", "share of the allowed maximum", true},
	} {
		y = p.draw(d, y+34, rows)
	}
	for i := 0; i < len(machine); i += 2 {
		y += 16
		d.write(margin, y+10, style{11, grey, "start", false}, strings.Join(machine[i:min(i+2, len(machine))], "; "))
	}
	_, _ = io.WriteString(out, d.svg(plotWidth, y+margin+4, plotTitle)) // save writes to a strings.Builder, which never fails
}

// legend draws the legend and returns its y.
func legend(d *drawing, y float64) float64 {
	x := margin
	text := style{12, ink, "start", false}
	entry := func(width float64, words string, mark func()) {
		mark()
		d.write(x+20, y, text, words)
		x += width
	}
	entry(110, "aim reached", func() { d.rectangle(x, y-10, 14, 12, green) })
	entry(165, "goal reached", func() { d.rectangle(x, y-10, 14, 12, blue) })
	entry(100, "not reached", func() { d.rectangle(x, y-10, 14, 12, orange) })
	entry(95, "goal", func() { leastMark(d, x+7, y-4) })
	entry(80, "aim", func() { aimMark(d, x+7, y-4) })
	entry(150, "minimum to maximum", func() { whisker(d, x, x+14, y-4, true) })
	return y
}

func leastMark(d *drawing, x, y float64) { d.stroke(x, y-11, x, y+11, 2.5, ink, "") }

func aimMark(d *drawing, x, y float64) { d.stroke(x, y-11, x, y+11, 2.5, ink, "3 2.5") }

// whisker draws a range. It has no right end if the range is longer than the axis.
func whisker(d *drawing, x1, x2, y float64, ends bool) {
	d.stroke(x1, y, x2, y, 1.5, ink, "")
	d.stroke(x1, y-4, x1, y+4, 1.5, ink, "")
	if ends {
		d.stroke(x2, y-4, x2, y+4, 1.5, ink, "")
	}
}

// A panel is a group of bars with an axis.
type panel struct {
	title, subtitle string
	less            bool
}

// unit returns the value of a row that is 1 on the panel's axis.
func (p panel) unit(r figures.Row) float64 {
	if p.less {
		return r.Least
	}
	return 1
}

// draw draws the panel's rows below y and returns its lower end.
func (p panel) draw(d *drawing, y float64, rows []figures.Row) float64 {
	var shown []figures.Row
	high := 1.0
	for _, r := range rows {
		if r.Less == p.less && r.Least > 0 && r.Ratio.Number > 0 {
			shown = append(shown, r)
			high = max(high, r.Ratio.High/p.unit(r), r.Aim/p.unit(r))
		}
	}
	if len(shown) == 0 {
		return y - 34
	}
	d.write(margin, y, style{13.5, ink, "start", true}, p.title)
	d.write(barsLeft, y, style{12, grey, "start", false}, p.subtitle)
	a := axis{most: min(mostShown, math.Ceil(high*1.04*5)/5)}
	top := y + 12
	bottom := top + lineHeight*float64(len(shown))
	a.draw(d, top, bottom)
	for i, r := range shown {
		p.bar(d, a, r, top+lineHeight*(float64(i)+0.5))
	}
	return bottom + 18
}

// An axis goes from 0 to most.
type axis struct {
	most float64
}

func (a axis) x(v float64) float64 {
	return barsLeft + (barsRight-barsLeft)*min(max(v, 0), a.most)/a.most
}

func (a axis) draw(d *drawing, top, bottom float64) {
	step := 0.2
	if a.most > 1.6 {
		step = 0.5
	}
	for v := 0.0; v <= a.most+1e-9; v += step {
		colour := faint
		if v == 0 {
			colour = grey
		}
		d.stroke(a.x(v), top, a.x(v), bottom, 1, colour, "")
		d.write(a.x(v), bottom+14, style{11, grey, "middle", false}, fmt.Sprintf("%.1f", v))
	}
}

// bar draws a row, centered at y.
func (p panel) bar(d *drawing, a axis, r figures.Row, y float64) {
	unit := p.unit(r)
	above := 2.0
	if r.Against == "" {
		above = -4 // centered
	}
	d.write(barsLeft-12, y-above, style{12.5, ink, "end", false}, r.Text)
	d.write(barsLeft-12, y+12, style{11, grey, "end", false}, r.Against)
	colour := orange
	switch {
	case r.Reaches(r.Aim) == figures.Met:
		colour = green
	case r.Reaches(r.Least) == figures.Met:
		colour = blue
	}
	d.rectangle(a.x(0), y-barHeight/2, a.x(r.Ratio.Median/unit)-a.x(0), barHeight, colour)
	leastMark(d, a.x(r.Least/unit), y)
	aimMark(d, a.x(r.Aim/unit), y)
	if r.Ratio.Number > 1 {
		whisker(d, a.x(r.Ratio.Low/unit), a.x(r.Ratio.High/unit), y, r.Ratio.High/unit <= a.most)
	}
	d.write(barsRight+14, y-2, style{12.5, ink, "start", true}, r.Unit(r.Ratio.Median))
	d.write(barsRight+14, y+12, style{11, grey, "start", false}, comparedValues(r))
}

// comparedValues returns the values that the ratio compares.
func comparedValues(r figures.Row) string {
	if r.Base.Number == 0 {
		return fmt.Sprintf("at most %s, aim %s", r.Unit(r.Least), r.Unit(r.Aim))
	}
	return r.Of.Quantity.Show(r.Value.Median) + " against " + r.Of.Quantity.Show(r.Base.Median)
}
