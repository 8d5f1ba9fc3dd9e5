package report

import (
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

// LineTable returns the table of ratios.
func LineTable(rows []figures.Row) Table {
	t := Table{Heads: []string{"line", "against", "median", "min", "max", "by CPU", "reach at least", "reached", "aim", "aim met", "measured", "against"}, Left: 2}
	for _, r := range rows {
		cells := []string{r.Text, r.Against, "-", "-", "-", "-", r.ShowGoal(r.Least), string(r.Reaches(r.Least)), r.ShowGoal(r.Aim), string(r.Reaches(r.Aim)), "-", "-"}
		if r.Ratio.Number > 0 {
			cells[2], cells[3], cells[4] = r.Unit(r.Ratio.Median), r.Unit(r.Ratio.Low), r.Unit(r.Ratio.High)
			cells[10] = r.Of.Quantity.Show(r.Value.Median)
		}
		if r.ByCPU.Number > 0 {
			cells[5] = figures.ShowRatio(r.ByCPU.Median)
		}
		if r.Base.Number > 0 {
			cells[11] = r.Of.Quantity.Show(r.Base.Median)
		}
		t.Cells = append(t.Cells, cells)
	}
	return t
}
