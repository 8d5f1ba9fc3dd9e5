//go:build examples

package examples_test

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/providers/standin"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// A load plays both providers until it is stopped.
type load struct {
	gateway   string
	providers *standin.Server
	stop      chan struct{}
	ended     sync.WaitGroup
	end       func() // stops the load

	mu           sync.Mutex
	acknowledged map[string]string // the note or transcription of each event that was answered 200
}

// startLoad starts to send about a hundred events per second.
func startLoad(ctx context.Context, t *testing.T, gateway string, providers *standin.Server) *load {
	l := &load{gateway: gateway, providers: providers, stop: make(chan struct{}), acknowledged: make(map[string]string)}
	l.end = sync.OnceFunc(func() { close(l.stop); l.ended.Wait() })
	t.Cleanup(l.end)
	for n := range 4 {
		l.ended.Go(func() { l.send(ctx, t, fmt.Sprintf("note-%d", n)) })
	}
	return l
}

func (l *load) send(ctx context.Context, t *testing.T, prefix string) {
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
		now, subject := time.Now(), fmt.Sprintf("%s-%d", prefix, n)
		request, err := sender.SOAPNoteAPI(ctx, l.gateway+"/soapnote", soapnoteSecret, sender.NoteGenerated(subject, now), now)
		switch n % 5 {
		case 3:
			request, err = sender.SOAPNoteAPI(ctx, l.gateway+"/soapnote", soapnoteSecret, sender.NoteFailed(subject, now), now)
		case 4:
			subject = l.providers.AddTranscription(standin.Transcription{})
			request, err = sender.Soniox(ctx, l.gateway+"/soniox?user_id=7", "Authorization", "Bearer "+sonioxSecret, sender.Transcription(subject, "completed"))
		}
		if err != nil {
			t.Error(err)
			return
		}
		answer, err := sender.Send(request)
		if err != nil || answer.Status != 200 || answer.Duplicate {
			t.Errorf("the gateway answers %+v, error %v", answer, err)
			return
		}
		l.mu.Lock()
		l.acknowledged[answer.ID] = subject
		l.mu.Unlock()
	}
}

// A victim is a backend with a database that is killed and started again.
type victim struct {
	folder  string
	kit     kit
	env     []string
	db      *pgx.Conn
	process *backend
	printed []string // by its processes so far
}

func (v *victim) start(ctx context.Context, t *testing.T) {
	t.Helper()
	v.process = v.kit.start(ctx, t, v.env...)
}

// kill kills the process with SIGKILL.
func (v *victim) kill(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(v.process.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-v.process.Ended()
	v.printed = append(v.printed, v.process.Lines()...)
}

// waitWord waits until the process has printed a line that begins with the words.
func (v *victim) waitWord(ctx context.Context, t *testing.T, words string) {
	t.Helper()
	if _, err := v.process.WaitLine(ctx, words, func(line string) bool { return strings.HasPrefix(line, words) }); err != nil {
		t.Fatal(err)
	}
}

// waitStuck waits until at least two transactions of the backend wait for an event of this kind.
func (v *victim) waitStuck(ctx context.Context, t *testing.T, column, event string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < 2; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: waiting until transactions wait for %s: %v", v.folder, event, context.Cause(ctx))
		}
		query := `SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND datname = $2 AND ` + column + ` = $3`
		if err := v.db.QueryRow(ctx, query, pgtest.Role, v.folder, event).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
}

// work makes the database note each event whose work is committed, as often as that happens.
const work = `
	CREATE TABLE work (event_id text);
	CREATE FUNCTION note_work() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO work VALUES (NEW.event_id); RETURN NULL; END $$;
	CREATE TRIGGER work AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION note_work();
	CREATE TRIGGER work AFTER INSERT OR UPDATE ON transcriptions FOR EACH ROW EXECUTE FUNCTION note_work();
	GRANT ALL ON work TO PUBLIC`

// TestPostgresBackendsAreKilled kills the backends with a database under load, in the middle of
// transactions and between the commit and the answer. Then it ends the database. Each
// acknowledged event must be in the database, and its work must be done once.
func TestPostgresBackendsAreKilled(t *testing.T) {
	ctx, server := bounded(t), startPostgres(t)
	port := ports(ctx, t, 1+len(postgresBackends))
	var upstreams string
	var victims []*victim
	for i, folder := range postgresBackends {
		v := &victim{folder: folder, kit: prepare(ctx, t, folder), env: append(newDatabase(t, server, folder), "PORT="+port[1+i])}
		v.env = append(v.env, secrets...)
		v.start(ctx, t)
		v.db = connect(ctx, t, server, folder)
		if _, err := v.db.Exec(ctx, work); err != nil {
			t.Fatal(err)
		}
		victims = append(victims, v)
		upstreams += fmt.Sprintf("\t\tupstream %s %s/events {\n\t\t\tretry 200ms 500ms 1s 1s 1s 1s 1s 1s\n\t\t}\n", folder, v.process.url)
	}

	config := filepath.Join(t.TempDir(), "gateway.caddyfile")
	write(t, config, fmt.Sprintf(`{
	scribegate {
		signing_secret {env.SCRIBEGATE_SIGNING_SECRET}
%s	}
}

:%s {
	bind 127.0.0.1
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to %[3]s
	}
	scribegate /soniox soniox {
		header Authorization "Bearer {env.SONIOX_WEBHOOK_SECRET}"
		api_key {env.SONIOX_API_KEY}
		api_base {$SONIOX_API}
		api_rate 60000
		deliver_to %[3]s
	}
}
`, upstreams, port[0], strings.Join(postgresBackends, " ")))
	providers, apis := startProviders(t)
	gateway := startGateway(ctx, t, config, append(apis, secrets...)...)
	load := startLoad(ctx, t, "http://127.0.0.1:"+port[0], providers)

	killAll := func() {
		for _, v := range victims {
			v.kill(t)
		}
	}
	startAll := func(words string) {
		for _, v := range victims {
			v.start(ctx, t)
		}
		for _, v := range victims {
			v.waitWord(ctx, t, words)
		}
	}
	for _, v := range victims {
		v.waitWord(ctx, t, "received")
	}

	// In the middle: the event's id is inserted, its work is not.
	var locks []pgx.Tx
	for _, v := range victims {
		// On a connection of its own: within a transaction, pg_stat_activity does not change.
		tx, err := connect(ctx, t, server, v.folder).Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(ctx, "LOCK TABLE notes, transcriptions IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
		locks = append(locks, tx)
	}
	for _, v := range victims {
		v.waitStuck(ctx, t, "wait_event_type", "Lock")
	}
	killAll()
	for _, tx := range locks {
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
	startAll("received")

	// After the commit, before the answer: a commit waits for a standby that does not exist.
	standby := func(name string) {
		t.Helper()
		for _, text := range []string{fmt.Sprintf("ALTER SYSTEM SET synchronous_standby_names = '%s'", name), "SELECT pg_reload_conf()"} {
			if err := server.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
	}
	standby("none")
	for _, v := range victims {
		v.waitStuck(ctx, t, "wait_event", "SyncRep")
	}
	killAll()
	standby("")
	startAll("duplicate")

	// The database ends, and comes back.
	server.Kill()
	for _, v := range victims {
		v.waitWord(ctx, t, "failed 429")
	}
	if err := server.Launch(); err != nil {
		t.Fatal(err)
	}
	load.end()
	if err := gateway.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	for _, v := range victims {
		if err := v.process.Stop(); err != nil {
			t.Error(err)
		}
		v.checkAttempts(t)
		v.printed = append(v.printed, v.process.Lines()...)
		v.check(ctx, t, server, load.acknowledged)
	}
}

// checkAttempts checks that a delivery that the process answered 429 used up no attempt.
func (v *victim) checkAttempts(t *testing.T) {
	t.Helper()
	attempts := make(map[string]int) // of the last 429, by the event's id
	for _, line := range v.process.Lines() {
		var reason string
		var a arrival
		if _, err := fmt.Sscanf(line, "failed 429 %s %s %s attempt %d", &reason, &a.event, &a.id, &a.attempt); err == nil {
			attempts[a.id] = a.attempt
		} else if a, ok := parseArrival(line); ok && attempts[a.id] != 0 && attempts[a.id] != a.attempt {
			t.Errorf("%s: attempt %d of %s was answered 429, and the next is attempt %d", v.folder, attempts[a.id], a.id, a.attempt)
		}
	}
	if len(attempts) == 0 {
		t.Errorf("%s answered no delivery 429", v.folder)
	}
}

// check compares the rows of the database with the acknowledged events.
func (v *victim) check(ctx context.Context, t *testing.T, server *pgtest.Server, acknowledged map[string]string) {
	t.Helper()
	db := connect(ctx, t, server, v.folder)
	stored := make(map[string]string)
	for _, table := range []string{"SELECT event_id, note_id FROM notes", "SELECT event_id, transcription_id FROM transcriptions WHERE transcription->'transcript'->>'text' <> ''"} {
		maps.Copy(stored, pairs(ctx, t, db, table))
	}
	events := pairs(ctx, t, db, "SELECT id, '' FROM events")
	work := pairs(ctx, t, db, "SELECT event_id, count(*)::text FROM work GROUP BY event_id")
	lost, doubled, other := 0, 0, 0
	for id, subject := range acknowledged {
		if _, ok := events[id]; !ok || stored[id] != subject || work[id] == "" {
			lost++
		} else if work[id] != "1" {
			doubled++
		}
	}
	for id := range events {
		if _, ok := acknowledged[id]; !ok {
			other++
		}
	}
	again := 0
	for _, line := range v.printed {
		if strings.HasPrefix(line, "duplicate") {
			again++
		}
		if strings.Contains(line, "sore throat") || strings.Contains(line, "cough") {
			t.Errorf("%s printed a part of a note: %s", v.folder, line)
		}
	}
	t.Logf("%s: %d events acknowledged, %d stored, %d lost, %d doubled, %d delivered again after a lost answer", v.folder, len(acknowledged), len(events), lost, doubled, again)
	if lost > 0 || doubled > 0 || other > 0 || len(acknowledged) < 100 {
		t.Errorf("%s: of %d acknowledged events %d are lost and %d were handled twice; %d others were stored", v.folder, len(acknowledged), lost, doubled, other)
	}
}

// pairs returns the rows of a query with two columns of text.
func pairs(ctx context.Context, t *testing.T, db *pgx.Conn, query string) map[string]string {
	t.Helper()
	rows, err := db.Query(ctx, query)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	var key, value string
	if _, err := pgx.ForEachRow(rows, []any{&key, &value}, func() error { found[key] = value; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}
