//go:build examples

package monitoring_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// A dashboard is the part of Grafana's schema that the tests need.
type dashboard struct {
	UID           string  `json:"uid"`
	Title         string  `json:"title"`
	ID            *int    `json:"id"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     gridPos    `json:"gridPos"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Targets []target `json:"targets"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type gridPos struct{ X, Y, W, H int }

type target struct {
	RefID        string     `json:"refId"`
	Datasource   datasource `json:"datasource"`
	Expr         string     `json:"expr"`
	LegendFormat string     `json:"legendFormat"`
	Instant      bool       `json:"instant"`
	Range        bool       `json:"range"`
}

type variable struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	Definition string     `json:"definition"`
	Datasource datasource `json:"datasource"`
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	return d
}

// chosen is the data source that the user chooses.
var chosen = datasource{Type: "prometheus", UID: "${datasource}"}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "scribegate" || d.Title == "" || d.ID != nil || d.SchemaVersion < 39 {
		t.Errorf("uid %q, title %q, id %v, schema %d: the uid must be fixed, and the id missing, since each Grafana sets it", d.UID, d.Title, d.ID, d.SchemaVersion)
	}
	if v := d.Templating.List[0]; v.Name != "datasource" || v.Type != "datasource" {
		t.Errorf("the first variable is %+v, want the data source, which the others need", v)
	}
	for _, v := range d.Templating.List[1:] {
		if v.Datasource != chosen {
			t.Errorf("the variable %s has the data source %+v", v.Name, v.Datasource)
		}
	}
	ids := make(map[int]string)
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok || p.ID < 1 {
			t.Errorf("%q has the id %d, which is invalid or the id of %q", p.Title, p.ID, other)
		}
		ids[p.ID] = p.Title
		if p.Title == "" {
			t.Errorf("panel %d has no title", p.ID)
		}
		if p.Type != "row" {
			p.check(t)
		}
	}
}

func (p panel) check(t *testing.T) {
	t.Helper()
	if p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
		t.Errorf("%q: description %q, unit %q, %d queries", p.Title, p.Description, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	if p.Datasource != chosen {
		t.Errorf("%q has the data source %+v", p.Title, p.Datasource)
	}
	refs := make(map[string]bool)
	for _, q := range p.Targets {
		if q.Expr == "" || q.LegendFormat == "" || q.Instant == q.Range || q.Datasource != chosen || q.RefID == "" || refs[q.RefID] {
			t.Errorf("%q: a query is incomplete: %+v", p.Title, q)
		}
		refs[q.RefID] = true
	}
}

// TestPanelsDoNotOverlap checks that the panels are within Grafana's 24 columns and do
// not overlap.
func TestPanelsDoNotOverlap(t *testing.T) {
	cells := make(map[[2]int]string)
	for _, p := range readDashboard(t).Panels {
		g := p.GridPos
		if g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
			t.Errorf("%q is at %+v, outside of the 24 columns", p.Title, g)
			continue
		}
		overlapped := make(map[string]bool)
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other, ok := cells[[2]int{x, y}]; ok {
					overlapped[other] = true
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		for other := range overlapped {
			t.Errorf("%q overlaps %q", p.Title, other)
		}
	}
}

// TestEveryMetricIsShown checks that a panel shows each metric.
func TestEveryMetricIsShown(t *testing.T) {
	var queries strings.Builder
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			queries.WriteString(q.Expr + "\n")
		}
	}
	for _, m := range metrics {
		if !strings.Contains(queries.String(), m.name) {
			t.Errorf("no panel shows %s", m.name)
		}
	}
}
