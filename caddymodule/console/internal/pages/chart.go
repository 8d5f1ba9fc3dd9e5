package pages

import (
	"fmt"
	"strings"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

// The size of a chart in its own units: a column for each minute, and the line between the
// deliveries, which grow upwards, and the failures, which grow downwards.
const (
	chartUp   = 26
	chartDown = 12
)

// A chart is a small line of the deliveries and failures of an hour.
type chart struct {
	Delivered, Failed string // paths
	Text              string // the same in words
}

// newChart returns the chart of an hour.
func newChart(h activity.Hour) chart {
	most := 0
	for _, m := range h.Minutes {
		most = max(most, m.Delivered, m.Failed)
	}
	c := chart{Text: "Nothing delivered and no failed attempt in the last hour"}
	if most == 0 {
		return c
	}
	var delivered, failed strings.Builder
	for i, m := range h.Minutes {
		column(&delivered, i, m.Delivered, most, -chartUp)
		column(&failed, i, m.Failed, most, chartDown)
	}
	c.Delivered, c.Failed = delivered.String(), failed.String()
	c.Text = fmt.Sprintf("%s delivered and %s in the last hour; at most %s in a minute",
		comma(int64(h.Delivered)), wording.Counted(h.Failed, "failed attempt"), comma(int64(most)))
	return c
}

// column adds the column of a minute to a path, unless it is empty. It is at least 2 units
// high: a single failure is seen beside a thousand deliveries.
func column(path *strings.Builder, minute, n, most, height int) {
	if n == 0 {
		return
	}
	h := float64(height) * float64(n) / float64(most)
	if height < 0 {
		h = min(h, -2)
	} else {
		h = max(h, 2)
	}
	fmt.Fprintf(path, "M%d %dv%.1fh.8V%dz", minute, chartUp, h, chartUp)
}
