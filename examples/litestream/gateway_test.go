//go:build examples

package litestream_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// secret is synthetic, used only in these tests.
const secret = "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA"

// A gateway is a gateway with its queue in dir/queue.db, and its two backends.
type gateway struct {
	*stage.Gateway
	queue, url, config, dir string
	ehr, warehouse          *backend
}

// newGateway writes the configuration of a gateway. Unless open is set, no backend
// listens at its upstream warehouse.
func newGateway(ctx context.Context, t *testing.T, dir string, open bool) *gateway {
	t.Helper()
	ports, err := stage.Ports(ctx, 3)
	must(t, err)
	must(t, os.MkdirAll(dir, 0o700))
	g := &gateway{
		Gateway: &stage.Gateway{Admin: "http://127.0.0.1:" + ports[0]},
		queue:   filepath.Join(dir, "queue.db"), url: "http://127.0.0.1:" + ports[1], config: filepath.Join(dir, "Caddyfile"), dir: dir,
		ehr: newBackend(t), warehouse: newBackend(t),
	}
	warehouse := "http://127.0.0.1:" + ports[2]
	if open {
		warehouse = g.warehouse.URL
	}
	must(t, os.WriteFile(g.config, fmt.Appendf(nil, `{
	admin 127.0.0.1:%s
	scribegate {
		queue sqlite {
			path %s
		}
		upstream ehr %s
		upstream warehouse %s
	}
}

:%s {
	bind 127.0.0.1
	scribegate /both soapnoteapi {
		secret %s
		deliver_to ehr warehouse
	}
	scribegate /ehr soapnoteapi {
		secret %[6]s
		source urn:ehr
		deliver_to ehr
	}
}
`, ports[0], g.queue, g.ehr.URL, warehouse, ports[1], secret), 0o600))
	return g
}

func (g *gateway) start(ctx context.Context, t *testing.T) {
	t.Helper()
	binary, err := stage.Caddy(filepath.Join("..", "..", "bin", "caddy"))
	must(t, err)
	started, err := stage.StartGateway(ctx, binary, g.config, g.dir, g.Admin)
	must(t, err)
	g.Gateway = started
	t.Cleanup(func() {
		if err := started.Stop(); err != nil {
			t.Error(err)
		}
	})
}

// errors returns the errors that the gateway has logged.
func (g *gateway) errors() (lines []string) {
	for _, line := range g.Lines() {
		if strings.Contains(line, `"level":"error"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// noErrors fails the test if the gateway has logged an error.
func (g *gateway) noErrors(t *testing.T) {
	t.Helper()
	if lines := g.errors(); len(lines) > 0 {
		t.Errorf("the gateway logged %q", lines)
	}
}

// send sends notes over many connections, and returns the ids of their events. It fails
// the test if one is not accepted.
func (g *gateway) send(ctx context.Context, t *testing.T, path, name string, n int) (ids []string) {
	t.Helper()
	var mu sync.Mutex
	var work sync.WaitGroup
	numbers := make(chan int)
	for range 16 {
		work.Go(func() {
			for i := range numbers {
				now := time.Now()
				request, err := sender.SOAPNoteAPI(ctx, g.url+path, secret, sender.NoteGenerated(fmt.Sprint(name, "-", i), now), now)
				if err != nil {
					t.Error(err)
					continue
				}
				answer, err := sender.Send(request)
				if err != nil || answer.Status != http.StatusOK {
					t.Errorf("a note is answered %+v, %v, want 200", answer, err)
					continue
				}
				mu.Lock()
				ids = append(ids, answer.ID)
				mu.Unlock()
			}
		})
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	work.Wait()
	if t.Failed() {
		t.Fatalf("the gateway printed:\n%s", g.Tail(20))
	}
	return ids
}

// A backend counts the deliveries of each event.
type backend struct {
	*httptest.Server
	mu       sync.Mutex
	received map[string]int
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{received: make(map[string]int)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.received[r.Header.Get("webhook-id")]++
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.received)
}
