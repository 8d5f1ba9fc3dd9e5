//go:build examples

package tunnels_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// TestClientAddress sends what a tunnel would: a request to a host name that the Caddyfile
// does not know, with the client's address in a header that the client has tried to forge.
func TestClientAddress(t *testing.T) {
	t.Parallel()
	const client, forged = "203.0.113.7", "198.51.100.1"
	for file, header := range map[string]http.Header{
		"cloudflared.caddyfile": {"Cf-Connecting-Ip": {client}, "X-Forwarded-For": {forged}},
		"forwarded.caddyfile":   {"Cf-Connecting-Ip": {forged}, "X-Forwarded-For": {forged + ", " + client}},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("a minute is over"))
			t.Cleanup(cancel)
			binary, err := stage.Caddy(filepath.Join("..", "..", "..", "bin", "caddy"))
			must(t, err)
			ports, err := stage.Ports(ctx, 2)
			must(t, err)
			config, err := filepath.Abs(file)
			must(t, err)
			secrets, err := filepath.Abs(filepath.Join("..", "..", "secrets"))
			must(t, err)
			gateway, err := stage.StartGateway(ctx, binary, config, t.TempDir(), "http://127.0.0.1:"+ports[0],
				"CADDY_ADMIN=127.0.0.1:"+ports[0], "PORT="+ports[1], "SCRIBEGATE_SECRETS="+secrets)
			must(t, err)
			t.Cleanup(func() { must(t, gateway.Stop()) })

			now := time.Now()
			request, err := sender.SOAPNoteAPI(ctx, "http://127.0.0.1:"+ports[1]+"/soapnote", "whsec_of_somebody_else", sender.NoteGenerated("a-note", now), now)
			must(t, err)
			request.Host = "four-random-words.tunnel.example"
			maps.Copy(request.Header, header)
			answer, err := sender.Send(request)
			if err != nil || answer.Status != http.StatusUnauthorized {
				t.Fatalf("a forged note is answered %+v, %v, want 401", answer, err)
			}
			line, err := gateway.WaitLine(ctx, "the rejection", func(line string) bool { return strings.Contains(line, "request rejected") })
			must(t, err)
			var logged struct {
				ClientIP string `json:"client_ip"`
			}
			must(t, json.Unmarshal([]byte(line), &logged))
			if logged.ClientIP != client {
				t.Errorf("the client's address is logged as %q, want %q: %s", logged.ClientIP, client, line)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
