package caddymodule

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
)

func init() { caddy.RegisterModule(compactEngine{}) }

// compactEngine is SQLite with a compaction that the test makes up, or with none.
type compactEngine struct{ SQLite }

// CaddyModule returns the Caddy module information.
func (compactEngine) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate.queues.compactly", New: func() caddy.Module { return new(compactEngine) }}
}

func (e *compactEngine) Key() string { return "compactly:" + e.Path }

func (e *compactEngine) Open(o OpenOptions) (queue.Queue, error) {
	q, err := e.SQLite.Open(o)
	if err != nil || madeUp.Load() == nil {
		return struct{ queue.Queue }{q}, err
	}
	return compactly{q.(*sqlitequeue.Queue)}, nil
}

func (e *compactEngine) Check(queue.Queue) error { return nil }
func (e *compactEngine) Adopt(queue.Queue) error { return nil }

type compactly struct{ *sqlitequeue.Queue }

// madeUp is the compaction of queues that are opened from now on; nil is none.
var madeUp atomic.Pointer[compaction]

func (compactly) Compact(ctx context.Context, p queue.Progress) (queue.Compacted, error) {
	return (*madeUp.Load())(ctx, p)
}

// A compaction is what a test makes up.
type compaction func(context.Context, queue.Progress) (queue.Compacted, error)

// newCompactSite runs with a made-up compaction.
func newCompactSite(t *testing.T, compact compaction) *adminSite {
	t.Helper()
	if compact != nil {
		madeUp.Store(&compact)
		t.Cleanup(func() { madeUp.Store(nil) })
	}
	a := &adminSite{site: newSite(t), admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t)}
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL), "QUEUE", "queue compactly {\n\t\t\tpath "+a.dir+"/queue.db\n\t\t}", 1), soapnoteTo("ehr"))
	return a
}

// The real engine compacts its file, while it takes events and beside them.
func TestAdminCompact(t *testing.T) {
	captured.reset()
	a := newAdminSite(t)
	for range 20 {
		a.settledNote(strings.Repeat("n", 1000) + time.Now().String())
	}
	a.object("POST", "/scribegate/purge", `{"dead":true}`)
	done := fields(t, "compact", a.object("POST", "/scribegate/compact", ""), "before", "after")
	if before, after := done["before"].(float64), done["after"].(float64); after <= 0 || after > before {
		t.Errorf("compacted from %v to %v bytes", before, after)
	}
	a.settledNote("after it")
	if lines := captured.with(t, "queue compacted"); len(lines) != 1 {
		t.Errorf("%d lines in the log, want one", len(lines))
	}
	for _, body := range []string{"{}", " { } \n"} {
		a.object("POST", "/scribegate/compact", body)
	}
	for _, body := range []string{"anything", "null", "[]", `{"now":true}`, "{} {}", "{}]", strings.Repeat(" ", 2<<10) + "{}", "{" + strings.Repeat(" ", 2<<10)} {
		if r := a.ask("POST", "/scribegate/compact", body); r.status != http.StatusBadRequest || !strings.Contains(r.body, "leave it out") {
			t.Errorf("%.20q: %d %s", body, r.status, r.body)
		}
	}
}

func TestAdminCompactErrors(t *testing.T) {
	fails := queue.ErrBusy
	a := newCompactSite(t, func(context.Context, queue.Progress) (queue.Compacted, error) { return queue.Compacted{}, fails })
	a.mustFail(t, "/scribegate/compact", &fails)
}

// mustFail tests the errors of a route whose work fails with what fails is set to.
func (a *adminSite) mustFail(t *testing.T, path string, fails *error) {
	t.Helper()
	for _, tt := range []struct {
		name, method, query string
		err                 error
		status              int
	}{
		{"already running", "POST", "", queue.ErrBusy, 409},
		{"the queue is being closed", "POST", "", queue.ErrClosed, 503},
		{"the disk is full", "POST", "", errors.New("no space left on device"), 500},
		{"by GET", "GET", "", nil, 405},
		{"a parameter", "POST", "?now=1", nil, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			*fails = tt.err
			r := a.ask(tt.method, path+tt.query, "")
			if r.status != tt.status || r.header.Get("Content-Type") != "application/json" || r.header.Get("Scribegate-Key") != "" || !strings.HasPrefix(r.body, `{"error":"`) {
				t.Errorf("%d %v %s, want %d", r.status, r.header, r.body, tt.status)
			}
			if tt.err != nil && !strings.Contains(r.body, tt.err.Error()) {
				t.Errorf("the cause is not in the answer: %s", r.body)
			}
		})
	}
}

func TestAdminCompactOfAnotherEngine(t *testing.T) {
	a := newCompactSite(t, nil)
	r := a.ask("POST", "/scribegate/compact", "")
	if r.status != http.StatusNotImplemented || strings.TrimSpace(r.body) != `{"error":"the engine compactly has nothing to compact"}` {
		t.Errorf("%d %s", r.status, r.body)
	}
	a.command("compact").Failed(t, "nothing to compact")
}

// A client that closes the connection cancels the compaction, even if its request had a body.
func TestAdminCompactIsGivenUp(t *testing.T) {
	for _, body := range []string{"", "{}"} {
		captured.reset()
		begun, ended := make(chan struct{}), make(chan error, 1)
		a := newCompactSite(t, func(ctx context.Context, _ queue.Progress) (queue.Compacted, error) {
			close(begun)
			select {
			case <-ctx.Done():
			case <-time.After(commandtest.WaitTimeout):
			}
			ended <- ctx.Err()
			return queue.Compacted{}, errors.New("it was given up")
		})
		conn, err := net.Dial("tcp", a.admin)
		if err != nil {
			t.Fatal(err)
		}
		request := "POST /scribegate/compact HTTP/1.1\r\nHost: " + a.admin + "\r\nContent-Length: " + map[string]string{"": "0", "{}": "2"}[body] + "\r\n\r\n" + body
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		<-begun
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("body %q: %s after the connection was closed the compaction goes on", body, commandtest.WaitTimeout)
		}
		eventually(t, "a line in the log", func() bool { return len(captured.with(t, "a compaction was cancelled")) == 1 })
	}
}

// A compaction may take longer than Caddy lets a request be read.
func TestAdminCompactTakesItsTime(t *testing.T) {
	const long = 11 * time.Second // Caddy's limit is 10
	a := newCompactSite(t, func(ctx context.Context, _ queue.Progress) (queue.Compacted, error) {
		select {
		case <-ctx.Done():
			return queue.Compacted{}, ctx.Err()
		case <-time.After(long):
			return queue.Compacted{Before: 3_435_973_837, After: 12 << 20}, nil
		}
	})
	if out := a.command("compact").Done(t).Out; out != "compacted: 3.2 GiB -> 12 MiB\n" {
		t.Errorf("printed %q", out)
	}
}

func TestCompactCommand(t *testing.T) {
	fails := error(nil)
	a := newCompactSite(t, func(context.Context, queue.Progress) (queue.Compacted, error) {
		return queue.Compacted{Before: 2048, After: 1024}, fails
	})
	if out := a.command("compact").Done(t).Out; out != "compacted: 2.0 KiB -> 1.0 KiB\n" {
		t.Errorf("printed %q", out)
	}
	var done map[string]any
	a.command("compact", "--json").Done(t).Decode(t, &done)
	if f := fields(t, "compact", done, "before", "after"); f["before"] != 2048.0 || f["after"] != 1024.0 {
		t.Errorf("printed %v", done)
	}
	fails = queue.ErrBusy
	a.command("compact").Failed(t, "already running")
	commandtest.Run(t, "", "compact", "--address", commandtest.ClosedPort(t)).Failed(t, "asking the admin API at")
	if r := a.command("compact", "now"); r.Err == nil {
		t.Error("an argument that means nothing is taken")
	}
}
