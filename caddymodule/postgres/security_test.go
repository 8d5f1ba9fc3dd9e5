//go:build postgres

package postgres

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// statement executes a statement on a server, as the superuser.
func statement(t *testing.T, s *pgtest.Server, text string) {
	t.Helper()
	if err := s.Exec(text); err != nil {
		t.Fatal(err)
	}
}

// The password of the role is replaced. With the old one in the file, the gateway answers 503
// once its connections are closed, and reports why it is not ready. When the file has the new
// one, it goes on without a reload, and nothing that was acknowledged is lost.
func TestRotatedPassword(t *testing.T) {
	const before, after = "before-the-rotation", "after-the-rotation"
	s, err := pgtest.Start(pgtest.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	file := filepath.Join(t.TempDir(), "password")
	write := func(password string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(before)
	statement(t, s, `ALTER ROLE `+pgtest.Role+` PASSWORD '`+before+`'`)
	g := newGatewayWith(t, fmt.Sprintf("postgres://%s:{file.%s}@127.0.0.1:%d/%[1]s", pgtest.Role, file, s.Port), "rotated")

	if status, text := g.send("before"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	statement(t, s, `ALTER ROLE `+pgtest.Role+` PASSWORD '`+after+`'`)
	if status, text := g.send("with the old connections"); status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	statement(t, s, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '`+pgtest.Role+`'`)
	if status, text := g.send("with the old password"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s, want 503", status, text)
	}
	if ok, reason := g.ready(); ok || !strings.Contains(reason, "check the user and the password in the DSN") {
		t.Errorf("ready: %t, %s", ok, reason)
	}
	if !strings.Contains(g.log(), "check the user and the password in the DSN") {
		t.Error("the log does not say what is wrong")
	}

	write(after)
	changed := time.Now()
	commandtest.WaitUntil(t, "the gateway is ready", func() bool { ok, _ := g.ready(); return ok })
	t.Logf("ready %s after the file had changed", time.Since(changed).Round(100*time.Millisecond))
	if status, text := g.send("with the new password"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	g.wait(3)
	for _, password := range []string{before, after} {
		if strings.Contains(g.log(), password) {
			t.Errorf("the log has the password %s", password)
		}
	}
}

// A gateway that cannot verify its database's certificate starts, is not ready, and says so.
func TestCertificateOfAnotherAuthority(t *testing.T) {
	s, err := pgtest.Start(pgtest.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	authority, err := pgtest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.UseTLS(authority, "127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	verified := s.AddressDSN() + "?sslmode=verify-full"
	g := newGateway(t, verified, "verified")
	const want = "set sslrootcert in the DSN"
	commandtest.WaitUntil(t, "the gateway says why it is not ready", func() bool {
		ok, reason := g.ready()
		return !ok && strings.Contains(reason, want)
	})
	if status, text := g.send("refused"); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s, want 503", status, text)
	}
	if text := g.log(); !strings.Contains(text, want) || strings.Contains(text, "of the tests") || strings.Contains(text, "of%20the%20tests") {
		t.Errorf("logged without the reason, or with the password: %s", text)
	}
	g = newGateway(t, verified+"&sslrootcert="+authority.File, "verified")
	commandtest.WaitUntil(t, "the gateway is ready", func() bool { ok, _ := g.ready(); return ok })
	if status, text := g.send("encrypted"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	g.wait(1)
}

// A gateway that lacks the key of an event leaves it to others, and logs that.
func TestKeyOfAnotherGateway(t *testing.T) {
	schema := fmt.Sprint("keys", schemas.Add(1))
	g := newGateway(t, server.DSN(), schema)
	mine, err := seal.ParseKey(os.Getenv("KEY"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := postgresqueue.Open(postgresqueue.Options{DSN: server.DSN(), Schema: schema, Keys: []seal.Key{seal.NewKey(), mine}, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	if _, err := other.Store(t.Context(), queue.Item{Event: queuetest.Event("sealed by the other", time.Now()), Upstreams: []string{"ehr"}}); err != nil {
		t.Fatal(err)
	}
	commandtest.WaitUntil(t, "the gateway logs that a key is missing", func() bool {
		g.admin(http.MethodGet, "/scribegate/status", "")
		return strings.Contains(g.log(), "put the key last in encryption_key")
	})
	if status, text := g.send("sealed by the gateway"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	g.wait(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range g.delivered {
		if id == "sealed by the other" {
			t.Error("the gateway has delivered an event that it cannot open")
		}
	}
}

// The documented statements give a role what the engine needs.
func TestDocumentedGrants(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n(.*?)```").FindStringSubmatch(string(text))
	if block == nil {
		t.Fatal("the chapter has no statements")
	}
	const role = "documented"
	for text := range strings.SplitSeq(strings.ReplaceAll(block[1], pgtest.Role, role), ";") {
		if strings.TrimSpace(text) != "" {
			statement(t, server, text)
		}
	}
	dsn := strings.ReplaceAll(server.DSN(), "="+pgtest.Role, "="+role)
	g := newGateway(t, dsn, "documented")
	if status, text := g.send("a"); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	}
	g.wait(1)
	err = server.Query(func(ctx context.Context, c *pgx.Conn) error {
		var more bool
		err := c.QueryRow(ctx, `SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = $1`, role).Scan(&more)
		if more {
			t.Error("the role has more rights than it needs")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
