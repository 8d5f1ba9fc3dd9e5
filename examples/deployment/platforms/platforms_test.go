//go:build examples

package platforms_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// Synthetic secrets, used only in these tests.
const (
	secret = "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA"
	soniox = "synthetic-soniox-secret"
)

// TestInstanceIsReplaced runs an instance as Cloud Run and Heroku do, which receives a note
// while the backend is down. The instance ends, and nothing of its disk is left. The next one
// delivers the note.
func TestInstanceIsReplaced(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	server, err := pgtest.Start(pgtest.Options{})
	must(t, err)
	t.Cleanup(server.Stop)
	delivered := make(chan string, 10)
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { delivered <- r.Header.Get("webhook-id") }))
	t.Cleanup(backend.Close)
	env := []string{
		"SCRIBEGATE_DSN=" + server.DSN(), "SCRIBEGATE_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		"SCRIBEGATE_SIGNING_SECRET=whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAx",
		"SCRIBEGATE_UPSTREAM=http://" + backend.Listener.Addr().String() + "/events",
	}

	first, address := instance(ctx, t, filepath.Join("image", "Caddyfile"), env)
	id := send(ctx, t, address, http.StatusOK)
	must(t, first.Stop())
	backend.Start()
	second, _ := instance(ctx, t, filepath.Join("image", "Caddyfile"), env)
	select {
	case got := <-delivered:
		if got != id {
			t.Errorf("the event %s is delivered, want %s", got, id)
		}
	case <-ctx.Done():
		t.Errorf("the event is not delivered; the second instance printed:\n%s", second.Tail(20))
	}
	must(t, second.Stop())
}

// TestLambda runs the checkpoint, whose backend answers the provider.
func TestLambda(t *testing.T) {
	t.Parallel()
	ctx := bounded(t)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("webhook-id") == "" || r.Header.Get("X-Soapnoteapi-Signature") != "" || r.Host == "" {
			t.Errorf("the backend receives the headers %v", r.Header)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(backend.Close)
	gateway, address := instance(ctx, t, filepath.Join("lambda", "Caddyfile"), []string{"SCRIBEGATE_UPSTREAM=" + backend.URL})
	send(ctx, t, address, http.StatusAccepted)
	must(t, gateway.Stop())
}

// TestHeroku validates the Caddyfile with the change that the chapter has for Heroku, and the
// form of Heroku's DATABASE_URL.
func TestHeroku(t *testing.T) {
	t.Parallel()
	chapter, err := os.ReadFile("README.md")
	must(t, err)
	change := regexp.MustCompile("(?s)```caddyfile postgres\n(.*?)```").FindSubmatch(chapter)
	if change == nil {
		t.Fatal("the chapter has no queue for Heroku")
	}
	caddyfile, err := os.ReadFile(filepath.Join("image", "Caddyfile"))
	must(t, err)
	queue := regexp.MustCompile(`(?s)\t\tqueue postgres .*?\n\t\t}\n`)
	if !queue.Match(caddyfile) {
		t.Fatal("the Caddyfile has no queue to replace")
	}
	binary, err := stage.Caddy(filepath.Join("..", "..", "..", "bin", "caddy"))
	must(t, err)
	command := exec.CommandContext(t.Context(), binary, "validate", "--adapter", "caddyfile", "--config", "-")
	command.Stdin = bytes.NewReader(queue.ReplaceAll(caddyfile, bytes.ReplaceAll(change[1], []byte("$"), []byte("$$"))))
	command.Env = []string{
		"HOME=" + t.TempDir(), "DATABASE_URL=postgres://user:password@ec2-198-51-100-7.compute-1.amazonaws.com:5432/database",
		"SCRIBEGATE_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "SCRIBEGATE_SIGNING_SECRET=whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAx",
		"SCRIBEGATE_UPSTREAM=https://backend.example.com/events", "SOAPNOTE_SECRET=" + secret, "SONIOX_WEBHOOK_SECRET=" + soniox,
	}
	if out, err := command.CombinedOutput(); err != nil || !strings.Contains(string(out), "Valid configuration") {
		t.Errorf("%v\n%s", err, out)
	}
}

// instance starts a gateway with an empty disk of its own, and returns its address.
func instance(ctx context.Context, t *testing.T, config string, env []string) (*stage.Gateway, string) {
	t.Helper()
	binary, err := stage.Caddy(filepath.Join("..", "..", "..", "bin", "caddy"))
	must(t, err)
	config, err = filepath.Abs(config)
	must(t, err)
	port, err := stage.Ports(ctx, 2)
	must(t, err)
	gateway, err := stage.StartGateway(ctx, binary, config, t.TempDir(), "http://127.0.0.1:"+port[1],
		append([]string{"PORT=" + port[0], "CADDY_ADMIN=127.0.0.1:" + port[1], "SOAPNOTE_SECRET=" + secret, "SONIOX_WEBHOOK_SECRET=" + soniox}, env...)...)
	must(t, err)
	t.Cleanup(func() { _ = gateway.Stop() }) // it has ended already, unless the test has failed
	return gateway, "http://127.0.0.1:" + port[0]
}

// send sends a note, and returns the id of its event.
func send(ctx context.Context, t *testing.T, address string, status int) (id string) {
	t.Helper()
	now := time.Now()
	request, err := sender.SOAPNoteAPI(ctx, address+"/soapnote", secret, sender.NoteGenerated("a-note", now), now)
	must(t, err)
	answer, err := sender.Send(request)
	if err != nil || answer.Status != status {
		t.Fatalf("a note is answered %+v, %v, want %d", answer, err, status)
	}
	return answer.ID
}

// bounded returns a context with a time limit, so that a test that hangs fails.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("3 minutes are over"))
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
