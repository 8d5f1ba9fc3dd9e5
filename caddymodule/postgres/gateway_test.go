//go:build postgres

package postgres

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

const noteSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var (
	server  *pgtest.Server
	schemas atomic.Int64 // that tests have used
)

func TestMain(m *testing.M) {
	os.Setenv("NOTE_SECRET", noteSecret)
	os.Setenv("KEY", seal.NewKey().Encode())
	os.Exit(pgtest.Run(m, pgtest.Options{TCP: true}, func(s *pgtest.Server) { server = s }))
}

// cutOff makes the backend close connections in place of an answer.
const cutOff = -1

// A gateway is Caddy with a queue in PostgreSQL.
type gateway struct {
	t                 *testing.T
	adminAddr, listen string
	logFile           string
	backend           *httptest.Server

	attempts  atomic.Int64 // requests to the backend
	fails     atomic.Int64 // the status with which it fails, or cutOff; 0 if it does not
	mu        sync.Mutex
	delivered []string // ids
}

func newGateway(t *testing.T, dsn, schema string) *gateway {
	t.Helper()
	t.Setenv("DSN", dsn)
	return newGatewayWith(t, "{env.DSN}", schema)
}

// newGatewayWith starts a gateway with a DSN as it is in the Caddyfile.
func newGatewayWith(t *testing.T, dsn, schema string) *gateway {
	t.Helper()
	g := &gateway{t: t, adminAddr: freeAddress(t), listen: freeAddress(t), logFile: filepath.Join(t.TempDir(), "log")}
	g.backend = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.attempts.Add(1)
		if status := int(g.fails.Load()); status != 0 {
			if status == cutOff {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(status)
			return
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.delivered = append(g.delivered, r.Header.Get("webhook-id"))
	}))
	t.Cleanup(g.backend.Close)
	text := fmt.Sprintf(`{
	admin %s
	persist_config off
	storage file_system %s
	log default {
		output file %s
	}
	scribegate {
		queue postgres %s {
			schema %s
			encryption_key {env.KEY}
			lease 5s
		}
		upstream ehr %s
	}
}
http://%s {
	scribegate /soapnote soapnoteapi {
		secret {env.NOTE_SECRET}
		deliver_to ehr
	}
}
`, g.adminAddr, t.TempDir(), g.logFile, dsn, schema, g.backend.URL, g.listen)
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// log returns what the gateway has logged.
func (g *gateway) log() string {
	g.t.Helper()
	text, err := os.ReadFile(g.logFile)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(text)
}

// ready returns whether the gateway is ready, and the reason if it is not.
func (g *gateway) ready() (bool, string) {
	g.t.Helper()
	status, text := g.admin(http.MethodGet, "/scribegate/health/ready", "")
	return status == http.StatusOK, text
}

// send sends a note, and returns the status and the body of the answer.
func (g *gateway) send(note string) (int, string) {
	g.t.Helper()
	body := fmt.Sprintf(`{"event":"note.generated","note_id":%q,"status":"completed","created_at":"2026-03-19T15:30:00Z","data":{"plan":"rest"}}`, note)
	at := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(noteSecret))
	mac.Write([]byte(at + "." + body))
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodPost, "http://"+g.listen+"/soapnote", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("X-SoapNoteAPI-Signature", hex.EncodeToString(mac.Sum(nil)))
	r.Header.Set("X-SoapNoteAPI-Timestamp", at)
	return g.do(r)
}

// admin returns the answer of an admin route.
func (g *gateway) admin(method, path, body string) (int, string) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.adminAddr+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return g.do(r)
}

func (g *gateway) do(r *http.Request) (int, string) {
	g.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// wait waits until so many deliveries were made.
func (g *gateway) wait(n int) {
	g.t.Helper()
	commandtest.WaitUntil(g.t, fmt.Sprint(n, " deliveries"), func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.delivered) >= n
	})
}

// An event is stored, answered, delivered and listed; the status has the nodes; what the
// engine does not do names what does.
func TestGateway(t *testing.T) {
	g := newGateway(t, server.DSN(), fmt.Sprint("gateway", schemas.Add(1)))
	status, first := g.send("a")
	if status != http.StatusOK || !strings.HasPrefix(first, `{"received":true,"id":"soapnoteapi-`) || strings.Contains(first, "duplicate") {
		t.Fatalf("%d %s", status, first)
	}
	if status, again := g.send("a"); status != http.StatusOK || !strings.Contains(again, `"duplicate":true`) {
		t.Fatalf("%d %s, want a duplicate", status, again)
	}
	g.wait(1)
	commandtest.WaitUntil(t, "the outcome is recorded", func() bool {
		_, text := g.admin(http.MethodGet, "/scribegate/events?state=delivered", "")
		return strings.Contains(text, `"subject":"a"`) && strings.Contains(text, `"payload":false`)
	})
	_, text := g.admin(http.MethodGet, "/scribegate/status", "")
	var s admin.Status
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.Queue.Engine != "postgres" || len(s.Queue.Nodes) != 1 {
		t.Fatalf("%s, %v; want one node", text, err)
	}
	if host, _ := os.Hostname(); s.Queue.Nodes[0].Name != host || time.Since(s.Queue.Nodes[0].LastSeen).Abs() > time.Minute {
		t.Errorf("node %+v", s.Queue.Nodes[0])
	}
	for _, path := range []string{"/scribegate/backup", "/scribegate/compact"} {
		if status, text := g.admin(http.MethodPost, path, ""); status != http.StatusNotImplemented || !strings.Contains(text, "pg_dump") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	if ok, reason := g.ready(); !ok {
		t.Errorf("health: %s", reason)
	}
}

// The gateway starts without its database, answers 503 after 8 s, and goes on when the
// database comes.
func TestWithoutDatabase(t *testing.T) {
	down, err := pgtest.Start(pgtest.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(down.Stop)
	down.Kill()
	g := newGateway(t, down.AddressDSN(), "later")
	if ok, reason := g.ready(); ok {
		t.Errorf("health: %s", reason)
	}
	if status, text := g.send("lost"); status != http.StatusServiceUnavailable {
		t.Errorf("without the database: %d %s", status, text)
	}
	relaunched := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() {
		time.Sleep(time.Second) // the request waits meanwhile
		relaunched <- down.Launch()
	}()
	if status, text := g.send("waits"); status != http.StatusOK {
		t.Errorf("while the database starts: %d %s", status, text)
	}
	select {
	case err := <-relaunched:
		if err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatal("the database did not start")
	}
	g.wait(1)
	commandtest.WaitUntil(t, "the gateway is ready", func() bool { ok, _ := g.ready(); return ok })
}
