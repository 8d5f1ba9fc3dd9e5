package caddymodule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/verifier"
)

// The secrets of the tests' configurations, set in the environment by TestMain.
const (
	testSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	testSoniox   = "soniox-test-value"
	testSigning  = "whsec_dGhlIHRlc3RzIHNpZ25pbmcga2V5LCAzMiBieXRlcyE="
	sonioxHeader = "X-Webhook-Secret"
)

// TestMain lets the test binary be Caddy itself, for tests that kill a process.
func TestMain(m *testing.M) {
	commandtest.Main(m, map[string]string{"SOAPNOTE_SECRET": testSecret, "SONIOX_SECRET": testSoniox, "SIGNING_SECRET": testSigning})
}

// A site is one running configuration. Caddy is one to a process, so tests
// with a site don't run in parallel.
type site struct {
	t    *testing.T
	dir  string // storage, queue
	port string
	url  string // http://127.0.0.1:<port>
}

// newSite picks a port and a folder, and stops Caddy when the test ends.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
	})
	return s
}

// caddyfile puts the global options and the site block of a test into a whole
// Caddyfile. In both, QUEUE stands for a queue block in the test's folder.
func (s *site) caddyfile(app, block string) string {
	queue := fmt.Sprintf("queue sqlite {\n\t\t\tpath %s\n\t\t}", filepath.Join(s.dir, "queue.db"))
	text := fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tstorage file_system %s\n%s\n}\n\nhttp://127.0.0.1:%s {\n%s\n}\n", s.dir, app, s.port, block)
	return strings.ReplaceAll(text, "QUEUE", queue)
}

// load adapts and runs a configuration, or fails the test.
func (s *site) load(app, block string) {
	s.t.Helper()
	if err := s.tryLoad(app, block); err != nil {
		s.t.Fatal(err)
	}
}

// tryLoad adapts and runs a configuration.
func (s *site) tryLoad(app, block string) error {
	return s.run(s.caddyfile(app, block))
}

// run adapts and runs a whole Caddyfile.
func (s *site) run(caddyfile string) error {
	cfg, err := adapt(caddyfile)
	if err != nil {
		return err
	}
	err = caddy.Load(cfg, true)
	// The servers before close their idle connections; don't send on one.
	http.DefaultClient.CloseIdleConnections()
	return err
}

// adapt turns a Caddyfile into JSON.
func adapt(text string) ([]byte, error) {
	cfg, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return cfg, err
}

// givenPorts are those that freePort has picked: Caddy shares a port that another
// listens on, and a test whose Caddy is started again has none meanwhile.
var givenPorts sync.Map

// freePort picks a port that nothing listens on. It is below those that systems
// give to outgoing connections, of which one could take it before Caddy does, and
// those of package stage.
func freePort(t *testing.T) string {
	t.Helper()
	for try := range 2000 {
		if try == 1000 {
			givenPorts.Clear() // all of them
		}
		port := strconv.Itoa(10_000 + rand.IntN(5_000))
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", ":"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

// A reply is a whole HTTP answer.
type reply struct {
	status int
	header http.Header
	body   string
}

// id returns the event id of a 200.
func (r reply) id(t *testing.T) string {
	t.Helper()
	var a struct {
		Received bool   `json:"received"`
		ID       string `json:"id"`
	}
	if err := json.Unmarshal([]byte(r.body), &a); err != nil || !a.Received || a.ID == "" {
		t.Fatalf("status %d, body %s: no event id in it", r.status, r.body)
	}
	return a.ID
}

// do sends a request and reads the answer whole.
func do(t *testing.T, r *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	// Just after a reload, Caddy resets connections that came to the listener
	// of the configuration before.
	for range 5 {
		if err == nil || r.GetBody == nil {
			break
		}
		if r.Body, err = r.GetBody(); err != nil {
			t.Fatal(err)
		}
		resp, err = http.DefaultClient.Do(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// soapnote makes the request that SOAPNoteAPI would send now.
func (s *site) soapnote(path, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set(verifier.TimestampHeader, timestamp)
	r.Header.Set(verifier.SignatureHeader, verifier.Sign(testSecret, timestamp, []byte(body)))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// soniox makes the request that Soniox would send.
func (s *site) soniox(path, body string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set(sonioxHeader, testSoniox)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// note makes a note.generated payload.
func note(id string) string {
	return fmt.Sprintf(`{"event":"note.generated","note_id":%q,"status":"completed","created_at":"2026-03-19T15:30:00.000Z","data":{"noteId":%q,"subjective":"PATIENT-TEXT","expires_at":"2026-03-20T15:30:00.000Z"}}`, id, id)
}

// transcription makes a Soniox payload.
func transcription(id string) string { return fmt.Sprintf(`{"id":%q,"status":"completed"}`, id) }

// A delivered request is one that a backend got.
type delivered struct {
	header http.Header
	uri    string
	host   string
	body   []byte
}

// A backend records the requests that it gets, and answers with answer.
type backend struct {
	*httptest.Server

	mu     sync.Mutex
	got    []delivered
	answer http.HandlerFunc // 204 where nil
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.mu.Lock()
		b.got = append(b.got, delivered{r.Header.Clone(), r.RequestURI, r.Host, body})
		answer := b.answer
		b.mu.Unlock()
		if answer != nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			answer(w, r)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(b.Close)
	return b
}

// respond has the backend answer this way from now on.
func (b *backend) respond(h http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = h
}

// deliveries returns what has come so far.
func (b *backend) deliveries() []delivered {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]delivered(nil), b.got...)
}

// wait returns what has come once it is n requests or more.
func (b *backend) wait(t *testing.T, n int) []delivered {
	t.Helper()
	eventually(t, fmt.Sprintf("%d deliveries", n), func() bool { return len(b.deliveries()) >= n })
	return b.deliveries()
}

// address is the backend's host and port.
func (b *backend) address() string { return strings.TrimPrefix(b.URL, "http://") }

// eventually waits until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	commandtest.WaitUntil(t, what, holds)
}

// queued counts what the running queue holds.
func queued(t *testing.T) admin.Status {
	t.Helper()
	g := gateway.Current()
	if g == nil {
		t.Fatal("no queue is open")
	}
	s, err := g.Status(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
