//go:build examples

package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// A prometheus is a running Prometheus.
type prometheus struct {
	*stage.Process
	url string
}

// startPrometheus runs Prometheus with the files of this folder. It changes only the
// intervals, to one second, and the address of the gateway, to target.
func startPrometheus(ctx context.Context, t *testing.T, target string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	shipped := read(t, "prometheus.yml")
	config := strings.NewReplacer("interval: 10s", "interval: 1s", "localhost:2019", target).Replace(shipped)
	if strings.Count(config, "interval: 1s") != 2 || strings.Count(config, target) != 1 {
		t.Fatalf("prometheus.yml does not have the intervals and the address that this test replaces:\n%s", shipped)
	}
	write(t, filepath.Join(dir, "rules.yml"), read(t, "rules.yml"))
	ports, err := stage.Ports(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	address := "127.0.0.1:" + ports[0]
	p, err := stage.Start(stage.Command{Name: "Prometheus", Dir: dir, Args: []string{
		"prometheus",
		"--config.file=" + write(t, filepath.Join(dir, "prometheus.yml"), config),
		"--storage.tsdb.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=" + address,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.WaitLine(ctx, "the start", func(line string) bool { return strings.Contains(line, "Server is ready") }); err != nil {
		t.Fatal(err)
	}
	return &prometheus{Process: p, url: "http://" + address}
}

// get decodes an answer of Prometheus's HTTP API into data.
func (p *prometheus) get(ctx context.Context, t *testing.T, path string, params url.Values, data any) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+params.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %s: %v", path, resp.Status, err)
	}
	if answer.Status != "success" {
		t.Fatalf("%s with %v: %s", path, params, answer.Error)
	}
}

// A series is one series of a query's result, with its values in order of time.
type series struct {
	labels map[string]string
	values []float64
}

// finite reports whether a graph can draw at least one value.
func (s series) finite() bool {
	for _, v := range s.values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			return true
		}
	}
	return false
}

// query runs a query at the current time.
func (p *prometheus) query(ctx context.Context, t *testing.T, expr string) []series {
	t.Helper()
	return p.run(ctx, t, "/api/v1/query", url.Values{"query": {expr}})
}

// queryRange runs a query over the last minutes, as a graph does.
func (p *prometheus) queryRange(ctx context.Context, t *testing.T, expr string) []series {
	t.Helper()
	now := time.Now()
	return p.run(ctx, t, "/api/v1/query_range", url.Values{
		"query": {expr},
		"start": {unix(now.Add(-5 * time.Minute))},
		"end":   {unix(now)},
		"step":  {"1"},
	})
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func (p *prometheus) run(ctx context.Context, t *testing.T, path string, params url.Values) []series {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
			Values [][2]any
		}
	}
	p.get(ctx, t, path, params, &data)
	found := make([]series, len(data.Result))
	for i, r := range data.Result {
		found[i].labels = r.Metric
		if r.Values == nil {
			r.Values = [][2]any{r.Value}
		}
		for _, v := range r.Values {
			n, err := strconv.ParseFloat(fmt.Sprint(v[1]), 64)
			if err != nil {
				t.Fatalf("%v: %v", params, err)
			}
			found[i].values = append(found[i].values, n)
		}
	}
	return found
}

// scraped waits until Prometheus has scraped the gateway once more.
func (p *prometheus) scraped(ctx context.Context, t *testing.T) {
	t.Helper()
	now := float64(time.Now().UnixNano()) / 1e9
	eventually(ctx, t, "a scrape", func() string {
		up := p.query(ctx, t, `timestamp(up{job="scribegate"}) and up{job="scribegate"} == 1`)
		if len(up) == 1 && up[0].values[0] > now {
			return ""
		}
		return fmt.Sprintf("the last scrape is %+v; Prometheus printed:\n%s", up, p.Tail(5))
	})
}
