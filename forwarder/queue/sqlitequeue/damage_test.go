package sqlitequeue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// A damageable is a closed store, with what is in it, that is damaged in trials.
type damageable struct {
	dir  string
	all  []string // ids, oldest first
	want map[string]queue.Record
}

// newDamageable makes a store of n events in many states.
func newDamageable(t *testing.T, n int) *damageable {
	t.Helper()
	d := &damageable{dir: t.TempDir(), want: make(map[string]queue.Record)}
	q := mustOpen(t, Options{Path: d.path(), Settings: queue.DefaultSettings()})
	for i := range n {
		id := fmt.Sprint("note-", i)
		it := queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr", "lab"}}
		if i%10 == 9 {
			it.Event.Body = append(it.Event.Body, make([]byte, 9000)...) // in overflow pages
		}
		if i%7 == 6 {
			it.Upstreams, it.State = nil, queue.Unrouted
		}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
		d.all = append(d.all, id)
	}
	for _, name := range []string{"ehr", "lab"} {
		c, err := q.Claim(name, time.Now(), queue.Want{First: n})
		if err != nil {
			t.Fatal(err)
		}
		for i, delivery := range c.Deliveries {
			o := queue.Outcome{Delivery: delivery, At: time.Now(), Result: queue.Success, Status: 200, State: queue.Delivered}
			switch i % 4 {
			case 0:
				q.Settle(o)
			case 1:
				o.State, o.Result, o.Next = queue.Pending, queue.Timeout, time.Now()
				q.Settle(o)
			case 2:
				if name == "lab" {
					o.State = queue.Dead
					q.Settle(o)
				}
			}
		}
	}
	flush(t, q)
	for _, id := range d.all {
		r, err := q.Event(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		d.want[id] = r
	}
	mustClose(t, q)
	return d
}

func (d *damageable) path() string { return filepath.Join(d.dir, "queue.db") }

// copy returns the path of a copy.
func (d *damageable) copy(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	copyStore(t, d.path(), path)
	return path
}

// readAll reads a store that is not in use.
func readAll(t *testing.T, path string) (map[string]Found, Tally) {
	t.Helper()
	r, err := OpenReader(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]Found)
	tally, err := r.Read(t.Context(), ReadFilter{Payloads: true}, func(f Found) error {
		if _, twice := all[f.Record.ID]; twice {
			t.Errorf("%s was found twice", f.Record.ID)
		}
		all[f.Record.ID] = f
		return nil
	})
	if err := errors.Join(err, r.Close()); err != nil {
		t.Fatal(err)
	}
	return all, tally
}

func TestReader(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 300)
	all, tally := readAll(t, d.path())
	if !tally.Whole() || tally.Events != len(d.all) {
		t.Errorf("%+v", tally)
	}
	for _, id := range d.all {
		if f := all[id]; fmt.Sprint(f.Record) != fmt.Sprint(d.want[id]) || f.RecordDamaged || f.PayloadDamaged || f.Record.HasPayload != (f.Event != nil) {
			t.Fatalf("%s: %+v, want %+v", id, f, d.want[id])
		}
	}
}

// Each page in turn is lost: the Reader returns all events but those on the page, and
// reports those.
func TestReaderWithoutAPage(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 300)
	path := d.copy(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := range len(whole) / pageSize {
		b := append([]byte(nil), whole...)
		clear(b[page*pageSize : (page+1)*pageSize])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		all, tally := readAll(t, path)
		missing, partly := 0, 0
		for _, id := range d.all {
			f, ok := all[id]
			if !ok {
				missing++
				continue
			}
			if f.RecordDamaged || f.PayloadDamaged {
				partly++
			} else if fmt.Sprint(f.Record) != fmt.Sprint(d.want[id]) {
				t.Errorf("page %d: %s: %+v, want %+v", page+1, id, f, d.want[id])
			}
		}
		if tally.Whole() != (missing+partly == 0) || missing > 40 || partly > 100 {
			t.Errorf("page %d: %d missing, %d in part, %+v", page+1, missing, partly, tally)
		}
		if missing+partly > 0 {
			t.Logf("page %d: %d missing, %d in part, %+v", page+1, missing, partly, tally)
		}
	}
}
