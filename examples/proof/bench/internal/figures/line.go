package figures

// A Line is a row of the table: a figure, the figures to compare it with, and the goal.
type Line struct {
	Name    string
	Text    string
	Against string
	Of      Figure
	Base    []Term               // their sum is compared with the figure; if empty, the figure is not compared
	Least   float64              // the goal; 0 if the line has none
	Aim     float64              // a better value to aim at
	Less    bool                 // whether less is better
	Unit    func(float64) string // formats the ratio and the goal
}

// A Figure is a quantity of a measurement.
type Figure struct {
	Measurement string
	Quantity    Quantity
}

// Of returns a figure.
func Of(measurement string, q Quantity) Figure { return Figure{measurement, q} }

// A Term is a multiple of a figure.
type Term struct {
	Times float64
	Figure
}

// Once returns a base of one figure.
func Once(measurement string, q Quantity) []Term {
	return []Term{{1, Figure{measurement, q}}}
}
