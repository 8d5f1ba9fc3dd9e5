package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// An AdminStatus is what the admin endpoint says instead of what was asked for.
type AdminStatus struct {
	what   string
	status int
	body   string
}

func (e AdminStatus) Error() string {
	return fmt.Sprintf("%s: the gateway answered %d: %s", e.what, e.status, strings.TrimSpace(e.body))
}

// Answered reports whether err is an answer of the admin endpoint with this status.
func Answered(err error, status int) bool {
	var e AdminStatus
	return errors.As(err, &e) && e.status == status
}

// Call sends a request to the admin endpoint and decodes the answer into out, which may be nil. If the
// status is not 200, the error is an AdminStatus.
func (r *Rig) Call(ctx context.Context, method, path, contentType, body string, out any) error {
	what := method + " " + path
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.Admin+path, strings.NewReader(body))
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
		return AdminStatus{what, resp.StatusCode, string(answer)}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", what, err)
	}
	return nil
}

// Load loads a Caddyfile, as `caddy reload` does. Caddy opens a new admin endpoint with every
// configuration and may close a connection to the old one. Then Load tries again, which has no effect
// if the configuration is already loaded.
func (r *Rig) Load(ctx context.Context, caddyfile string) (err error) {
	for range 3 {
		err = r.Call(ctx, http.MethodPost, "/load", "text/caddyfile", caddyfile, nil)
		if err == nil || errors.As(err, new(AdminStatus)) {
			return err
		}
	}
	return err
}

// A Status is the answer to GET /scribegate/status.
type Status struct {
	Queue struct {
		Engine      string `json:"engine"`
		Bytes       int64  `json:"bytes"`
		MaxBytes    int64  `json:"max_bytes"`
		Quarantined int    `json:"quarantined"`
		Unreadable  int    `json:"unreadable"`
	} `json:"queue"`
	Upstreams []UpstreamStatus `json:"upstreams"`
	APIs      []struct {
		Cleanups int `json:"cleanups"`
	} `json:"apis"`
}

// An UpstreamStatus is an upstream in a status.
type UpstreamStatus struct {
	Name     string `json:"name"`
	Pending  int    `json:"pending"`
	InFlight int    `json:"in_flight"`
	Dead     int    `json:"dead"`
	Paused   bool   `json:"paused"`
	Orphaned bool   `json:"orphaned"`
}

// Upstream returns the status of an upstream, and whether there is one with this name.
func (s Status) Upstream(name string) (UpstreamStatus, bool) {
	for _, u := range s.Upstreams {
		if u.Name == name {
			return u, true
		}
	}
	return UpstreamStatus{}, false
}

// Status returns the status of the gateway.
func (r *Rig) Status(ctx context.Context) (Status, error) {
	var s Status
	err := r.Call(ctx, http.MethodGet, "/scribegate/status", "", "", &s)
	return s, err
}

// Compacted is the answer to a compaction: the sizes of the queue's file in bytes.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Compact makes the gateway release the free space of the queue's file.
func (r *Rig) Compact(ctx context.Context) (Compacted, error) {
	var c Compacted
	err := r.Call(ctx, http.MethodPost, "/scribegate/compact", "", "", &c)
	return c, err
}

// ReplayAll makes every event due at once.
func (r *Rig) ReplayAll(ctx context.Context) error {
	return r.Call(ctx, http.MethodPost, "/scribegate/replay", "application/json", `{"since":"24h"}`, nil)
}

// PurgeDead deletes the dead events and returns their number.
func (r *Rig) PurgeDead(ctx context.Context) (int, error) {
	var answer struct {
		Purged int `json:"purged"`
	}
	err := r.Call(ctx, http.MethodPost, "/scribegate/purge", "application/json", `{"dead":true}`, &answer)
	return answer.Purged, err
}
