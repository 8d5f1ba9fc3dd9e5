package stage

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCaddy(t *testing.T) {
	dir := t.TempDir()
	built := filepath.Join(dir, "caddy")
	t.Setenv(CaddyEnv, "")
	if _, err := Caddy(built); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("Caddy() = %v, want an error that says how to build it", err)
	}

	if err := os.WriteFile(built, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Caddy(built); got != built || err != nil {
		t.Errorf("Caddy() = %q, %v, want %q", got, err, built)
	}

	t.Setenv(CaddyEnv, filepath.Join(dir, "elsewhere"))
	if _, err := Caddy(built); err == nil || !strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("Caddy() = %v, want an error about the path that %s names", err, CaddyEnv)
	}
}

// script returns a gateway that answers GET /scribegate/status with one answer after the
// other, and then always with the last one.
func script(t *testing.T, answers ...string) *Gateway {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/scribegate/status" {
			http.NotFound(w, r)
			return
		}
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return &Gateway{Process: &Process{}, Admin: server.URL}
}

func upstreams(pending, inFlight, dead int) string {
	return fmt.Sprintf(`{"queue":{"engine":"bolt"},"upstreams":[{"name":"idle"},{"name":"ehr","pending":%d,"in_flight":%d,"dead":%d}]}`, pending, inFlight, dead)
}

func TestWaitIdle(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answers []string
		want    string
	}{
		"nothing to wait for":   {answers: []string{upstreams(0, 0, 0)}},
		"pending, then in work": {answers: []string{upstreams(2, 0, 0), upstreams(1, 1, 0), upstreams(0, 1, 0), upstreams(0, 0, 0)}},
		"dead":                  {answers: []string{upstreams(1, 0, 0), upstreams(0, 0, 1)}, want: "1 dead at the upstream ehr"},
		"not JSON":              {answers: []string{"starting"}, want: "reading the status"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := script(t, tt.answers...).WaitIdle(t.Context())
			if tt.want == "" && err != nil {
				t.Errorf("WaitIdle() = %v", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("WaitIdle() = %v, want an error that names %q", err, tt.want)
			}
		})
	}
}

func TestWaitIdleEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := script(t, upstreams(1, 0, 0)).WaitIdle(ctx); err == nil {
		t.Error("WaitIdle() = nil, though an event is pending")
	}
}

func TestStartGatewaySaysWhyItDidNotStart(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = StartGateway(t.Context(), binary, "missing.caddyfile", t.TempDir(), "http://127.0.0.1:1", roleEnv+"=fail")
	if err == nil || !strings.Contains(err.Error(), "the reason why") {
		t.Errorf("StartGateway() = %v, want what the process printed", err)
	}
}
