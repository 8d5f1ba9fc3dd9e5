package files

import (
	"database/sql"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
)

// newStore returns a rig with a database like the queue's, with this number of payloads, and a connection that
// keeps its WAL.
func newStore(t *testing.T, payloads int) (*gateway.Rig, *sql.DB) {
	t.Helper()
	r := &gateway.Rig{Dir: t.TempDir()}
	db, err := sql.Open("sqlite", "file:"+r.QueueFile()+"?_pragma=journal_mode(WAL)&_pragma=secure_delete(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"CREATE TABLE payload(seq INTEGER PRIMARY KEY, id TEXT, sealed BLOB)",
		"CREATE INDEX byid ON payload(id)",
		"CREATE INDEX empty ON payload(id) WHERE seq < 0",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for n := range payloads {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO payload VALUES(?, 'event-' || ?, randomblob(3000))", n, n); err != nil {
			t.Fatal(err)
		}
	}
	return r, db
}
