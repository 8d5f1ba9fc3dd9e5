package report

import (
	"fmt"
	"html"
	"strings"
)

// The colours of a drawing. It has its own background, so it looks the same on light and dark pages.
const (
	paper  = "#ffffff"
	edge   = "#d0d7de"
	faint  = "#eaeef2"
	ink    = "#1f2328"
	grey   = "#656d76"
	green  = "#4ac26b"
	blue   = "#54aeff"
	orange = "#f0883e"
)

// A drawing collects the elements of an SVG image.
type drawing struct {
	text strings.Builder
}

func (d *drawing) add(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

func (d *drawing) rectangle(x, y, width, height float64, fill string) {
	d.add(`<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`, x, y, max(width, 0), height, fill)
}

// stroke draws a straight line; dash is empty for a solid line.
func (d *drawing) stroke(x1, y1, x2, y2, width float64, colour, dash string) {
	if dash != "" {
		dash = ` stroke-dasharray="` + dash + `"`
	}
	d.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"%s/>`, x1, y1, x2, y2, colour, width, dash)
}

// A style is the style of a text.
type style struct {
	size   float64
	colour string
	anchor string // start, middle or end
	bold   bool
}

func (d *drawing) write(x, y float64, s style, words string) {
	weight := ""
	if s.bold {
		weight = ` font-weight="600"`
	}
	words = html.EscapeString(strings.ReplaceAll(words, "`", ""))
	d.add(`<text x="%.1f" y="%.1f" font-size="%.1f" fill="%s" text-anchor="%s"%s>%s</text>`, x, y, s.size, s.colour, s.anchor, weight, words)
}

// svg returns the image. Its height is known only at the end.
func (d *drawing) svg(width, height float64, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %[1]g %[2]g" role="img" aria-label="%[3]s" font-family="-apple-system,BlinkMacSystemFont,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif">
<rect x="0.5" y="0.5" width="%.1[4]f" height="%.1[5]f" rx="6" fill="%[6]s" stroke="%[7]s"/>
%[8]s</svg>
`, width, height, html.EscapeString(title), width-1, height-1, paper, edge, d.text.String())
}
