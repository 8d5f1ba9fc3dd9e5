package main

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

// get asks the gateway's admin endpoint and hands over the answer's body.
func (g *gateway) get(ctx context.Context, path string, read func(io.Reader) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("asking the gateway for %s: %w", path, err)
		}
	}()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.admin+path, nil)
	if err != nil {
		return err
	}
	request.Close = true // the process may be another one the next time
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

// An upstreamStatus is what is needed of an upstream in GET /scribegate/status.
type upstreamStatus struct {
	Name     string `json:"name"`
	Pending  int    `json:"pending"`
	InFlight int    `json:"in_flight"`
	Dead     int    `json:"dead"`
	Paused   bool   `json:"paused"`
}

func (g *gateway) upstreams(ctx context.Context) ([]upstreamStatus, error) {
	var status struct {
		Upstreams []upstreamStatus `json:"upstreams"`
	}
	err := g.get(ctx, "/scribegate/status", func(body io.Reader) error { return json.NewDecoder(body).Decode(&status) })
	return status.Upstreams, err
}

// stateLimit is how long an upstream may take to come into a state.
const stateLimit = time.Minute

// await returns when wrong finds nothing wrong with any of the upstreams, and as
// its error what was wrong to the end.
func (g *gateway) await(ctx context.Context, wrong func(upstreamStatus) error) error {
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
		if time.Since(began) > stateLimit {
			return fmt.Errorf("after %s still: %w", stateLimit, found)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), found)
		}
	}
}

// paused is an error where deliveries are not held back.
func paused(u upstreamStatus) error {
	if !u.Paused {
		return fmt.Errorf("the upstream %s should be paused", u.Name)
	}
	return nil
}

// waiting makes a check that so many events wait for each upstream.
func waiting(n int) func(upstreamStatus) error {
	return func(u upstreamStatus) error {
		if u.Pending != n || u.Dead > 0 {
			return fmt.Errorf("%d events should wait for the upstream %s: %d do, and %d are dead", n, u.Name, u.Pending, u.Dead)
		}
		return nil
	}
}

// allocated is how many bytes the gateway has allocated since its start.
func (g *gateway) allocated(ctx context.Context) (n float64, err error) {
	const metric = "go_memstats_alloc_bytes_total "
	err = g.get(ctx, "/metrics", func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		for lines.Scan() {
			if value, ok := strings.CutPrefix(lines.Text(), metric); ok {
				n, err = strconv.ParseFloat(value, 64)
				return err
			}
		}
		return errors.Join(lines.Err(), errors.New("it has no line "+metric))
	})
	return n, err
}

// profile has the gateway profile its processor time for some seconds, and then
// what it has allocated since its start, and writes both beside each other:
// name.pprof and name.allocs.pprof.
func (g *gateway) profile(ctx context.Context, dir, name string, seconds int) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("writing a profile: %w", err)
	}
	if err := g.save(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds), filepath.Join(dir, name+".pprof")); err != nil {
		return err
	}
	return g.save(ctx, "/debug/pprof/allocs", filepath.Join(dir, name+".allocs.pprof"))
}

// save writes what the gateway's admin API answers into a file.
func (g *gateway) save(ctx context.Context, path, file string) error {
	return g.get(ctx, path, func(body io.Reader) error {
		content, err := io.ReadAll(body)
		if err != nil {
			return err
		}
		return os.WriteFile(file, content, 0o600)
	})
}
