package files

import (
	"testing"
)

func TestFindPayloads(t *testing.T) {
	t.Parallel()
	const number = 20
	r, db := newStore(t, number)
	payloads, err := sealed(t.Context(), r)
	if err != nil || payloads.number != number {
		t.Fatalf("sealed() = %d payloads, %v, want %d", payloads.number, err, number)
	}
	if n, err := find(r, payloads); err != nil || n != number {
		t.Errorf("find() = %d, %v, want %d", n, err, number)
	}
	if _, err := db.ExecContext(t.Context(), "DELETE FROM payload"); err != nil {
		t.Fatal(err)
	}
	if n, err := find(r, payloads); err != nil || n != number {
		t.Errorf("find() = %d, %v, want the %d that the WAL still has", n, err, number)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if n, err := find(r, payloads); err != nil || n != 0 {
		t.Errorf("find() = %d, %v, want none", n, err)
	}
}
