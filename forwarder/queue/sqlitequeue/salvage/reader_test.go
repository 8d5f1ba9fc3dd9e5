package salvage_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/storetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

func open(t *testing.T, path string) *sqlitequeue.Queue {
	t.Helper()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func newStore(t *testing.T, n int) *storetest.Store {
	t.Helper()
	return storetest.New(t, n, func(path string) queue.Queue { return open(t, path) })
}

// A Reader returns the whole content of an undamaged store.
func TestReader(t *testing.T) {
	t.Parallel()
	d := newStore(t, 300)
	all, tally := storetest.ReadAll(t, d.Path)
	if !tally.Whole() || tally.Events != len(d.IDs) {
		t.Errorf("%+v", tally)
	}
	for _, id := range d.IDs {
		if f := all[id]; fmt.Sprint(f.Record) != fmt.Sprint(d.Want[id]) || f.RecordDamaged || f.PayloadDamaged || f.Record.HasPayload != (f.Event != nil) {
			t.Fatalf("%s: %+v, want %+v", id, f, d.Want[id])
		}
	}
}

// One page is lost at a time: the Reader returns all events except those on the page,
// and reports the loss.
func TestReaderWithoutAPage(t *testing.T) {
	t.Parallel()
	d := newStore(t, 300)
	path := d.Copy(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := range len(whole) / tables.PageSize {
		b := append([]byte(nil), whole...)
		clear(b[page*tables.PageSize : (page+1)*tables.PageSize])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all, tally := storetest.ReadAll(t, path)
		missing, partly := 0, 0
		for _, id := range d.IDs {
			f, ok := all[id]
			if !ok {
				missing++
				continue
			}
			if f.RecordDamaged || f.PayloadDamaged {
				partly++
			} else if fmt.Sprint(f.Record) != fmt.Sprint(d.Want[id]) {
				t.Errorf("page %d: %s: %+v, want %+v", page+1, id, f, d.Want[id])
			}
		}
		rows := storetest.RowsOn(whole[page*tables.PageSize:], page+1)
		if tally.Whole() != (missing+partly == 0) || missing+partly > rows {
			t.Errorf("page %d: %d missing, %d in part, %+v", page+1, missing, partly, tally)
		}
		if testing.Verbose() && missing+partly > 0 {
			t.Logf("page %d: %d missing, %d in part, %+v", page+1, missing, partly, tally)
		}
	}
}

// A copy that is made right after events were stored contains their payloads, although
// their other rows are not written yet. Without the key, Read returns an error.
func TestReaderOpensEventsThatWereJustStored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	q := open(t, path)
	for i := range 5 {
		it := queue.Item{Event: queuetest.Event(fmt.Sprint("e", i), time.Now()), Upstreams: []string{"ehr"}}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
	}
	copied := filepath.Join(dir, "copy.db")
	f, err := os.Create(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Backup(t.Context(), f, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	read := func() (opened int, err error) {
		r, err := salvage.OpenReader(copied, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		_, err = r.Read(t.Context(), salvage.ReadFilter{Payloads: true}, func(f salvage.Found) error {
			if f.Event != nil {
				opened++
			}
			return nil
		})
		return opened, err
	}
	if n, err := read(); err == nil || !strings.Contains(err.Error(), "no key is given") {
		t.Errorf("without the key: %d opened, %v", n, err)
	}
	key, err := os.ReadFile(path + ".key")
	if err := errors.Join(err, os.WriteFile(copied+".key", key, 0o600)); err != nil {
		t.Fatal(err)
	}
	if n, err := read(); n != 5 || err != nil {
		t.Errorf("%d opened, %v", n, err)
	}
}
