package caddymodule

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// selection is the body of a replay or a purge.
type selection struct {
	IDs      []string `json:"ids,omitempty"`
	Dead     bool     `json:"dead,omitempty"`
	Since    string   `json:"since,omitempty"`
	Before   string   `json:"before,omitempty"`
	Upstream string   `json:"upstream,omitempty"`
}

// replayed is the answer to a replay, and purged that to a purge.
type (
	replayed struct {
		Replayed       int `json:"replayed"`
		WithoutPayload int `json:"without_payload"`
	}
	purged struct {
		Purged int `json:"purged"`
	}
)

// maxSelection bounds the body that names events.
const maxSelection = 8 << 20

func readSelection(r *http.Request) (selection, error) {
	var s selection
	dec := json.NewDecoder(io.LimitReader(r.Body, maxSelection))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		return s, badRequest("the body is not the JSON object that is expected here")
	}
	if dec.More() {
		return s, badRequest("something follows the JSON object in the body")
	}
	return s, nil
}

// ago turns a duration into the time that it began.
func ago(name, text string) (time.Time, error) {
	d, err := caddy.ParseDuration(text)
	if err != nil || d <= 0 {
		return time.Time{}, badRequest("%s must be a duration above zero, as in 30m, 1h or 14d", name)
	}
	return time.Now().Add(-d), nil
}

// one says whether exactly one of the choices was made.
func one(choices ...bool) bool {
	n := 0
	for _, c := range choices {
		if c {
			n++
		}
	}
	return n == 1
}

func (a *Admin) replay(ctx context.Context, g *gateway, r *http.Request, told queue.Progress) (any, error) {
	s, err := readSelection(r)
	if err != nil {
		return nil, err
	}
	if !one(len(s.IDs) > 0, s.Dead, s.Since != "") || s.Before != "" {
		return nil, badRequest(`say what to replay: {"ids":[...]}, {"dead":true} or {"since":"1h"}, each with an optional "upstream"`)
	}
	if err := g.knownUpstream(s.Upstream); err != nil {
		return nil, err
	}
	sel := queue.Selection{IDs: s.IDs, Dead: s.Dead, Upstream: s.Upstream, Progress: told}
	if s.Since != "" {
		if sel.Since, err = ago("since", s.Since); err != nil {
			return nil, err
		}
	}
	done, err := g.queue.Replay(ctx, sel)
	if done.Replayed > 0 {
		g.dispatcher.Probe(s.Upstream) // whoever replays takes it to be back
	}
	a.audit.replayed(sel, done, err, r)
	if err != nil {
		return nil, err
	}
	a.logger.Info("events replayed", zap.Int("events", done.Replayed), zap.Int("without_payload", done.WithoutPayload), zap.String("upstream", s.Upstream))
	return replayed{Replayed: done.Replayed, WithoutPayload: done.WithoutPayload}, nil
}

func (a *Admin) purge(ctx context.Context, g *gateway, r *http.Request, told queue.Progress) (any, error) {
	s, err := readSelection(r)
	if err != nil {
		return nil, err
	}
	if !one(len(s.IDs) > 0, s.Dead) || s.Since != "" || s.Upstream != "" || (s.Before != "" && !s.Dead) {
		return nil, badRequest(`say what to purge: {"ids":[...]} or {"dead":true,"before":"24h"}`)
	}
	sel := queue.Selection{IDs: s.IDs, Dead: s.Dead, Progress: told}
	if s.Before != "" {
		if sel.Before, err = ago("before", s.Before); err != nil {
			return nil, err
		}
	}
	n, err := g.queue.Purge(ctx, sel)
	a.audit.purged(sel, n, err, r)
	if err != nil {
		return nil, err
	}
	a.logger.Info("events purged", zap.Int("events", n))
	return purged{Purged: n}, nil
}
