//go:build examples

package systemd_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// secret is synthetic, used only in these tests.
const secret = "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA"

// A site is the Caddyfile of the service, with everything that it refers to in one folder.
type site struct {
	binary, dir, config, console string
	env                          []string
}

// newSite writes the Caddyfile with a port of its own for the console, and with the
// replacements (old, new, ...).
func newSite(ctx context.Context, t *testing.T, replacements ...string) *site {
	t.Helper()
	binary, err := stage.Caddy(filepath.Join("..", "..", "..", "bin", "caddy"))
	must(t, err)
	ports, err := stage.Ports(ctx, 1)
	must(t, err)
	dir := t.TempDir()
	for name, value := range map[string]string{
		"encryption-key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "signing": "whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAx",
		"soapnote": secret, "soniox": "synthetic-soniox-secret",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600))
	}
	text := read(t, "Caddyfile")
	for change := range slices.Chunk(append(replacements, ":8081", ":"+ports[0]), 2) {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the Caddyfile has no %q", change[0])
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	config := filepath.Join(dir, "Caddyfile")
	must(t, os.WriteFile(config, []byte(text), 0o600))
	return &site{
		binary: binary, dir: dir, config: config, console: "http://127.0.0.1:" + ports[0],
		env: []string{"HOME=" + dir, "STATE_DIRECTORY=" + dir, "RUNTIME_DIRECTORY=" + dir, "CREDENTIALS_DIRECTORY=" + dir, "SCRIBEGATE_SECRETS=" + dir},
	}
}

// start starts the gateway with the arguments of a command, whose last one is the program,
// and waits until it serves. The files are its descriptors from 3 on.
func (s *site) start(ctx context.Context, t *testing.T, files []*os.File, command ...string) *stage.Process {
	t.Helper()
	gateway, err := stage.Start(stage.Command{Name: "the gateway", Env: s.env, Files: files, Args: append(command, "run", "--config", s.config)})
	must(t, err)
	t.Cleanup(func() { _ = gateway.Stop() }) // it has ended already, unless the test has failed
	_, err = gateway.WaitLine(ctx, "the start", func(line string) bool { return strings.Contains(line, "serving initial configuration") })
	must(t, err)
	return gateway
}

// send sends a note on a connection of its own.
func send(ctx context.Context, t *testing.T, address, name string) (sender.Answer, error) {
	t.Helper()
	now := time.Now()
	request, err := sender.SOAPNoteAPI(ctx, address+"/soapnote", secret, sender.NoteGenerated(name, now), now)
	must(t, err)
	request.Close = true
	return sender.Send(request)
}

func get(ctx context.Context, t *testing.T, address string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	must(t, err)
	resp, err := http.DefaultClient.Do(request)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return string(body)
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	return string(content)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
