//go:build examples

package examples_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// startPostgres starts a PostgreSQL server, which ends with the test.
func startPostgres(t *testing.T) *pgtest.Server {
	t.Helper()
	server, err := pgtest.Start(pgtest.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// newDatabase creates the database of the backend in a folder and returns the variable
// with its URL. A backend that needs no database gets none.
func newDatabase(t *testing.T, server *pgtest.Server, folder string) (env []string) {
	t.Helper()
	if !strings.HasSuffix(folder, "-postgres") {
		return nil
	}
	if err := server.Exec(fmt.Sprintf("CREATE DATABASE %q OWNER %s", folder, pgtest.Role)); err != nil {
		t.Fatal(err)
	}
	return []string{"DATABASE_URL=" + strings.TrimSuffix(server.AddressDSN(), "/"+pgtest.Role) + "/" + folder}
}

// connect connects to the database of newDatabase as the superuser.
func connect(ctx context.Context, t *testing.T, server *pgtest.Server, folder string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=%s", server.Dir, server.Port, folder))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(ctx)) })
	return c
}

// postgresBackends are the folders of the backends that store events in PostgreSQL.
var postgresBackends = []string{"express-postgres", "fastapi-postgres"}

// TestPostgresBackendAnswers sends deliveries to the backends with a database, and checks the answers,
// which decide what the gateway does with an event, and the rows.
func TestPostgresBackendAnswers(t *testing.T) {
	ctx, server := bounded(t), startPostgres(t)
	for _, folder := range postgresBackends {
		t.Run(folder, func(t *testing.T) {
			k := prepare(ctx, t, folder)
			p, err := k.launch(t, secrets...)
			if err != nil {
				t.Fatal(err)
			}
			if url, err := p.WaitURL(ctx); err == nil || !strings.Contains(err.Error(), "set DATABASE_URL") {
				t.Errorf("without DATABASE_URL it listens on %q, error %v", url, err)
			}
			b := k.start(ctx, t, append(newDatabase(t, server, folder), secrets...)...)
			db := connect(ctx, t, server, folder)
			deliver := func(id, kind, at, data string) *http.Response {
				t.Helper()
				body := fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"type":%q,"time":%q,"data":%s}`, id, kind, at, data)
				return send(ctx, t, b.url, signed(t, id, signingSecret, time.Now(), body), body)
			}
			const note = `{"id":"n1","status":"completed","note":{"plan":"one\u0000two"}}`
			for _, tt := range []struct {
				id, kind, at, data string
				want               int
				query              string // whose result is true afterwards
			}{
				{"e1", generated, "2026-03-19T15:30:00.000Z", note, 204, `SELECT note::text LIKE '%one\\u0000two%' AND event_id = 'e1' FROM notes`},
				{"e2", "com.soapnoteapi.note.failed", "2026-03-19T15:29:00Z", `{"id":"n1","status":"failed"}`, 204, `SELECT status = 'completed' FROM notes`},
				{"e3", "com.soapnoteapi.note.failed", "2026-03-19T15:31:00Z", `{"id":"n1","status":"failed"}`, 204, `SELECT status = 'failed' AND note IS NOT NULL FROM notes`},
				{"e1", generated, "2026-03-19T15:30:00.000Z", note, 204, `SELECT event_id = 'e3' FROM notes`},
				{"e4", transcription, "2026-03-19T15:30:00Z", `{"id":"t1","status":"completed","metadata":{"user_id":["7"]},"transcription":{"text":"Good morning"}}`, 204, `SELECT transcription->>'text' = 'Good morning' AND metadata->'user_id'->>0 = '7' FROM transcriptions`},
				{"e11", transcription, "2026-03-19T15:30:00Z", `{"id":"t2","status":"completed","transcription":{"unavailable":"timeout"}}`, 204, `SELECT unavailable = 'timeout' FROM transcriptions WHERE transcription_id = 't2'`},
				{"e12", transcription, "2026-03-19T15:31:00Z", `{"id":"t2","status":"completed"}`, 204, `SELECT unavailable = 'timeout' AND event_id = 'e12' FROM transcriptions WHERE transcription_id = 't2'`},
				{"e13", transcription, "2026-03-19T15:32:00Z", `{"id":"t2","status":"completed","transcription":{"transcript":{"text":"Good morning"}}}`, 204, `SELECT unavailable IS NULL AND NOT EXISTS (SELECT FROM transcriptions WHERE unavailable <> '') FROM transcriptions WHERE transcription_id = 't2'`},
				{"e5", "com.soapnoteapi.note.amended", "2026-03-19T15:30:00Z", `{"id":"n1","raw":{"a":[1]}}`, 204, `SELECT unhandled->'raw'->'a'->>0 = '1' FROM events WHERE id = 'e5'`},
				{"e6", test, "2026-03-19T15:30:00Z", `{"id":"test_1","status":"test"}`, 204, `SELECT unhandled IS NULL FROM events WHERE id = 'e6'`},
				{"e7", generated, "2026-03-19T15:30:00Z", `{}`, 410, `SELECT NOT EXISTS (SELECT FROM events WHERE id = 'e7')`},
				{"e8", generated, "yesterday at noon", note, 422, `SELECT NOT EXISTS (SELECT FROM events WHERE id = 'e8')`},
				{"e9", generated, "2026-03-19T15:30:00Z", `{"id":"n\u0000","status":"completed"}`, map[string]int{"express-postgres": 422, "fastapi-postgres": 500}[folder], `SELECT NOT EXISTS (SELECT FROM events WHERE id = 'e9')`},
			} {
				if got := deliver(tt.id, tt.kind, tt.at, tt.data); got.StatusCode != tt.want {
					t.Errorf("%s %s %s: status %d, want %d; it printed:\n%s", tt.id, tt.kind, tt.data, got.StatusCode, tt.want, b.Tail(5))
				}
				var ok bool
				if err := db.QueryRow(ctx, tt.query).Scan(&ok); err != nil || !ok {
					t.Errorf("%s %s: %s is %v, error %v", tt.id, tt.kind, tt.query, ok, err)
				}
			}

			server.Kill() // no database: no attempt is used up
			if got := get(ctx, t, b.url+"/healthz"); got != http.StatusServiceUnavailable {
				t.Errorf("/healthz without a database: status %d, want 503", got)
			}
			if got := deliver("e10", generated, "2026-03-19T15:30:00Z", note); got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") == "" {
				t.Errorf("without a database: status %d and Retry-After %q, want 429 and seconds", got.StatusCode, got.Header.Get("Retry-After"))
			}
			if err := server.Launch(); err != nil {
				t.Fatal(err)
			}
			if got := deliver("e10", generated, "2026-03-19T15:30:00Z", note); got.StatusCode != http.StatusNoContent {
				t.Errorf("with a database again: status %d, want 204; it printed:\n%s", got.StatusCode, b.Tail(5))
			}
			if printed := strings.Join(b.Lines(), "\n"); strings.Contains(printed, "two") || strings.Contains(printed, "morning") {
				t.Errorf("it printed a part of a note:\n%s", printed)
			}
		})
	}
}
