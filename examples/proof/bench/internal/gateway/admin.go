package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// get calls read with the body of the admin endpoint's answer.
func (g *Gateway) get(ctx context.Context, path string, read func(io.Reader) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("requesting %s from the gateway: %w", path, err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+path, nil)
	if err != nil {
		return err
	}
	request.Close = true // the gateway may restart before the next request
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return read(resp.Body)
}

// An UpstreamStatus is an upstream in GET /scribegate/status.
type UpstreamStatus struct {
	Name     string `json:"name"`
	Pending  int    `json:"pending"`
	InFlight int    `json:"in_flight"`
	Dead     int    `json:"dead"`
	Paused   bool   `json:"paused"`
}

func (g *Gateway) upstreams(ctx context.Context) ([]UpstreamStatus, error) {
	var status struct {
		Upstreams []UpstreamStatus `json:"upstreams"`
	}
	err := g.get(ctx, "/scribegate/status", func(body io.Reader) error { return json.NewDecoder(body).Decode(&status) })
	return status.Upstreams, err
}

// StateLimit is the maximum time until an upstream is in an expected state.
const StateLimit = time.Minute

// Await waits until wrong returns nil for every upstream. After StateLimit it returns the
// last errors of wrong.
func (g *Gateway) Await(ctx context.Context, wrong func(UpstreamStatus) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); ; {
		all, err := g.upstreams(ctx)
		if err != nil {
			return err
		}
		var found error
		for _, u := range all {
			found = errors.Join(found, wrong(u))
		}
		if found == nil {
			return nil
		}
		if time.Since(began) > StateLimit {
			return fmt.Errorf("waiting for %s: %w", StateLimit, found)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), found)
		}
	}
}

// Paused returns an error if the upstream is not paused.
func Paused(u UpstreamStatus) error {
	if !u.Paused {
		return fmt.Errorf("the upstream %s is not paused", u.Name)
	}
	return nil
}

// Waiting returns a check that n events wait for each upstream, and none is dead.
func Waiting(n int) func(UpstreamStatus) error {
	return func(u UpstreamStatus) error {
		if u.Pending != n || u.Dead > 0 {
			return fmt.Errorf("%d events wait for the upstream %s, and %d are dead; want %d and none", u.Pending, u.Name, u.Dead, n)
		}
		return nil
	}
}

const usualConcurrency = 32 // the default concurrency of an upstream

// Hangs returns an error unless all attempts that the upstream allows at once are hanging.
func Hangs(u UpstreamStatus) error {
	if u.Paused || u.InFlight != usualConcurrency {
		return fmt.Errorf("%d attempts to the upstream %s hang (paused: %v), want %d", u.InFlight, u.Name, u.Paused, usualConcurrency)
	}
	return nil
}

// Allocated returns the number of bytes that the gateway has allocated since its start.
func (g *Gateway) Allocated(ctx context.Context) (n float64, err error) {
	const metric = "go_memstats_alloc_bytes_total "
	err = g.get(ctx, "/metrics", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			if value, ok := strings.CutPrefix(lines.Text(), metric); ok {
				n, err = strconv.ParseFloat(value, 64)
				return err
			}
		}
		return errors.Join(lines.Err(), errors.New("there is no line "+metric))
	})
	return n, err
}

// Profile writes two profiles of the gateway to dir: name.pprof has its processor time for
// some seconds, name.allocs.pprof its allocations since the start.
func (g *Gateway) Profile(ctx context.Context, dir, name string, seconds int) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("writing a profile: %w", err)
	}
	if err := g.save(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds), filepath.Join(dir, name+".pprof")); err != nil {
		return err
	}
	return g.save(ctx, "/debug/pprof/allocs", filepath.Join(dir, name+".allocs.pprof"))
}

// save writes the body of the admin API's answer to a file.
func (g *Gateway) save(ctx context.Context, path, file string) error {
	return g.get(ctx, path, func(body io.Reader) error {
		content, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return os.WriteFile(file, content, 0o600)
	})
}
