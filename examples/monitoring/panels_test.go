//go:build examples

package monitoring_test

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var legend = regexp.MustCompile(`{{(\w+)}}`)

// checkDashboard checks that every query of the dashboard returns data.
func checkDashboard(ctx context.Context, t *testing.T, p *prometheus) {
	t.Helper()
	d := readDashboard(t)
	replace := []string{"$__rate_interval", "1m"}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			replace = append(replace, "$"+v.Name, variableValues(ctx, t, p, v, strings.NewReplacer(replace...)))
		}
	}
	variables := strings.NewReplacer(replace...)
	for _, panel := range d.Panels {
		for _, q := range panel.Targets {
			t.Run(panel.Title+" "+q.RefID, func(t *testing.T) {
				expr := variables.Replace(q.Expr)
				if strings.Contains(expr, "$") {
					t.Errorf("a variable is left in %s", expr)
				}
				ask := p.queryRange
				if q.Instant {
					ask = p.query
				}
				var got []series
				eventually(ctx, t, "data", func() string {
					if got = ask(ctx, t, expr); slices.ContainsFunc(got, series.finite) {
						return ""
					}
					return fmt.Sprintf("%s returns %+v", expr, got)
				})
				for _, l := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
					if slices.ContainsFunc(got, func(s series) bool { return s.labels[l[1]] == "" }) {
						t.Errorf("the legend %s names a label that %s does not return", q.LegendFormat, expr)
					}
				}
			})
		}
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// variableValues returns all values of a dashboard's variable in the form in which
// Grafana writes them into a query.
func variableValues(ctx context.Context, t *testing.T, p *prometheus, v variable, known *strings.Replacer) string {
	t.Helper()
	parts := labelValues.FindStringSubmatch(known.Replace(v.Definition))
	if parts == nil {
		t.Fatalf("the definition of the variable %s is %s, want label_values(...)", v.Name, v.Definition)
	}
	var values []string
	p.get(ctx, t, "/api/v1/label/"+parts[2]+"/values", url.Values{"match[]": {parts[1]}}, &values)
	if len(values) == 0 {
		t.Errorf("the variable %s has no values", v.Name)
	}
	return "(" + strings.Join(values, "|") + ")"
}
