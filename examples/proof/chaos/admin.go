package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// An adminStatus is what the admin endpoint says instead of what was asked for.
type adminStatus struct {
	what   string
	status int
	body   string
}

func (e adminStatus) Error() string {
	return fmt.Sprintf("%s: the gateway answered %d: %s", e.what, e.status, strings.TrimSpace(e.body))
}

// answered reports whether err is an answer of the admin endpoint with this status.
func answered(err error, status int) bool {
	var e adminStatus
	return errors.As(err, &e) && e.status == status
}

// call sends a request to the admin endpoint and decodes the answer into out, which may be nil. If the
// status is not 200, the error is an adminStatus.
func (r *rig) call(ctx context.Context, method, path, contentType, body string, out any) error {
	what := method + " " + path
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.admin+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	request.Close = true // the gateway may restart before the next request
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s: reading the answer: %w", what, err)
	}
	if resp.StatusCode != http.StatusOK {
		return adminStatus{what, resp.StatusCode, string(answer)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", what, err)
	}
	return nil
}

// load loads a Caddyfile, as `caddy reload` does. Caddy opens a new admin endpoint with every
// configuration and may close a connection to the old one. Then load tries again, which has no effect
// if the configuration is already loaded.
func (r *rig) load(ctx context.Context, caddyfile string) (err error) {
	for range 3 {
		err = r.call(ctx, http.MethodPost, "/load", "text/caddyfile", caddyfile, nil)
		if err == nil || errors.As(err, new(adminStatus)) {
			return err
		}
	}
	return err
}

// A status is the answer to GET /scribegate/status.
type status struct {
	Queue struct {
		Engine      string `json:"engine"`
		Bytes       int64  `json:"bytes"`
		MaxBytes    int64  `json:"max_bytes"`
		Quarantined int    `json:"quarantined"`
		Unreadable  int    `json:"unreadable"`
	} `json:"queue"`
	Upstreams []upstreamStatus `json:"upstreams"`
	APIs      []struct {
		Cleanups int `json:"cleanups"`
	} `json:"apis"`
}

// An upstreamStatus is an upstream in a status.
type upstreamStatus struct {
	Name     string `json:"name"`
	Pending  int    `json:"pending"`
	InFlight int    `json:"in_flight"`
	Dead     int    `json:"dead"`
	Paused   bool   `json:"paused"`
	Orphaned bool   `json:"orphaned"`
}

// upstream returns the status of an upstream, and whether there is one with this name.
func (s status) upstream(name string) (upstreamStatus, bool) {
	for _, u := range s.Upstreams {
		if u.Name == name {
			return u, true
		}
	}
	return upstreamStatus{}, false
}

func (r *rig) status(ctx context.Context) (status, error) {
	var s status
	err := r.call(ctx, http.MethodGet, "/scribegate/status", "", "", &s)
	return s, err
}

// compacted is the answer to a compaction: the sizes of the queue's file in bytes.
type compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// compact makes the gateway release the free space of the queue's file.
func (r *rig) compact(ctx context.Context) (compacted, error) {
	var c compacted
	err := r.call(ctx, http.MethodPost, "/scribegate/compact", "", "", &c)
	return c, err
}

// replayAll makes every event due at once.
func (r *rig) replayAll(ctx context.Context) error {
	return r.call(ctx, http.MethodPost, "/scribegate/replay", "application/json", `{"since":"24h"}`, nil)
}

// purgeDead deletes the dead events and returns their number.
func (r *rig) purgeDead(ctx context.Context) (int, error) {
	var answer struct {
		Purged int `json:"purged"`
	}
	err := r.call(ctx, http.MethodPost, "/scribegate/purge", "application/json", `{"dead":true}`, &answer)
	return answer.Purged, err
}
