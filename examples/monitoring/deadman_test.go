//go:build examples

package monitoring_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// TestDeadman runs deadman.sh with a gateway that stores its event, and with gateways that do
// not.
func TestDeadman(t *testing.T) {
	ctx := bounded(t)
	s := startSite(ctx, t)
	var pings atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ping-address" {
			pings.Add(1)
		}
	}))
	t.Cleanup(service.Close)
	for _, c := range []struct {
		name, to, secret string
		prepare          func()
		pinged           bool
		says             string
	}{
		{name: "stored", to: s.url, secret: newSecret, pinged: true},
		{name: "the secret is wrong", to: s.url, secret: otherSecret, says: "401"},
		{name: "no gateway", to: "http://127.0.0.1:" + s.ports[3], secret: newSecret, says: "refused"},
		{name: "the queue is full", to: s.url, secret: newSecret, prepare: func() { fill(ctx, t, s) }, says: "503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.prepare != nil {
				c.prepare()
			}
			before := pings.Load()
			out, err := deadman(ctx, t, s.binary, c.to+"/soapnote", c.secret, service.URL+"/ping-address")
			if pinged := pings.Load() > before; pinged != c.pinged || (err == nil) != c.pinged {
				t.Fatalf("pinged is %t, want %t: %v\n%s", pinged, c.pinged, err, out)
			}
			if !strings.Contains(out, c.says) {
				t.Errorf("it prints %q, want %q in it", out, c.says)
			}
			if strings.Contains(out, "ping-address") || strings.Contains(out, c.secret) {
				t.Errorf("it prints a secret: %s", out)
			}
		})
	}
}

// fill makes the queue refuse events: an event waits, and is larger than the queue may be.
func fill(ctx context.Context, t *testing.T, s *site) {
	t.Helper()
	now := time.Now()
	request, err := sender.SOAPNoteAPI(ctx, s.url+"/soapnote", newSecret, sender.NoteGenerated("waits", now), now)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := sender.Send(request); err != nil || answer.Status != http.StatusOK {
		t.Fatalf("the event that fills the queue is answered %+v, %v", answer, err)
	}
	s.reload(ctx, t, fullQueue)
}

// deadman runs deadman.sh and returns what it prints.
func deadman(ctx context.Context, t *testing.T, binary, to, secret, ping string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(dir, "caddy")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "sh", "deadman.sh")
	cmd.Env = []string{
		"PATH=" + dir + ":" + os.Getenv("PATH"), "HOME=" + dir,
		"SCRIBEGATE_URL=" + to,
		"SCRIBEGATE_SECRET_FILE=" + write(t, filepath.Join(dir, "secret"), secret),
		"PING_URL_FILE=" + write(t, filepath.Join(dir, "ping"), ping),
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
