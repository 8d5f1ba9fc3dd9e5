package sqlitequeue

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/trials"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/storetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// A damageable is a closed store that the tests damage.
type damageable struct {
	*storetest.Store
	running func() // damages the store that try has opened
}

// newDamageable creates a store of n events in many states.
func newDamageable(t *testing.T, n int) *damageable {
	t.Helper()
	return &damageable{Store: storetest.New(t, n, func(path string) queue.Queue {
		return mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	})}
}

// An outcome is the result of a trial with a damaged store.
type outcome struct {
	refused  error // the error of Open
	reported []string
	whole    int            // unchanged events that were delivered to the waiting upstreams
	lost     map[string]int // the other events, by problem
}

func (o outcome) total() (n int) {
	for _, some := range o.lost {
		n += some
	}
	return n
}

// reports are the errors that OnDamage was called with.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (r *reports) add(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, err.Error())
}

func (r *reports) get() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// try opens a damaged store, delivers the waiting events, stores more, closes the
// store, and opens it again.
func (d *damageable) try(t *testing.T, path string) (o outcome) {
	t.Helper()
	var r reports
	q, err := Open(Options{Path: path, Settings: queue.DefaultSettings(), OnDamage: r.add})
	if err != nil {
		return outcome{refused: err}
	}
	defer func() {
		o.reported = r.get()
		within(t, "Close", func() { _ = q.Close() })
		if q, err = Open(Options{Path: path, Settings: queue.DefaultSettings()}); err != nil {
			t.Errorf("the second Open: %v; %q", err, o.reported)
			return
		}
		within(t, "the second Close", func() { _ = q.Close() })
	}()
	if d.running != nil {
		d.running()
	}
	checkAll(t, q)
	due, early := map[string][]string{}, 0
	for i, name := range []string{"ehr", "lab", storetest.Completion, "ehr", "lab"} {
		for _, delivery := range claimAll(t, q, name, len(d.IDs)) {
			var e *event.Event
			var err error
			eventually(t, "an answer; a repair may delay it", func() bool {
				e, err = q.Load(delivery)
				return err == nil || errors.Is(err, queue.ErrUnreadable)
			})
			switch {
			case err != nil && name == storetest.Completion:
				continue
			case err != nil:
				q.Settle(queue.Outcome{Delivery: delivery, State: queue.Dead, At: time.Now(), Result: queue.Failure})
				continue
			}
			if want := d.Events[delivery.EventID]; want == nil || !bytes.Equal(e.Body, want.Body) || e.Subject != want.Subject {
				t.Errorf("delivered %+v, want %+v", e, want)
			}
			q.Settle(queue.Outcome{Delivery: delivery, State: queue.Delivered, At: time.Now(), Result: queue.Success})
			if name == storetest.Completion {
				continue
			}
			if !slices.Contains(due[delivery.EventID], name) { // a repair may cost an outcome
				due[delivery.EventID] = append(due[delivery.EventID], name)
			}
			if i < 2 && waits(d.Want[delivery.EventID]) {
				early++
			}
		}
		eventually(t, "the outcomes are recorded; a repair may delay it", func() bool { return q.writer.Flush(t.Context()) == nil })
	}
	o.lost = make(map[string]int)
	if early > 0 {
		o.lost["delivered before the completion"] = early
	}
	for _, id := range d.IDs {
		var want []string
		for _, delivery := range d.Want[id].Deliveries {
			if delivery.State == queue.Pending {
				want = append(want, delivery.Upstream)
			}
		}
		var record queue.Record
		var err error
		eventually(t, "an answer; a repair may delay it", func() bool {
			record, err = q.Event(t.Context(), id)
			return err == nil || errors.Is(err, queue.ErrNotFound)
		})
		switch {
		case errors.Is(err, queue.ErrNotFound) && slices.Equal(due[id], want) && len(want) > 0:
			o.lost["delivered but not found"]++
		case errors.Is(err, queue.ErrNotFound):
			o.lost["missing"]++
		case !slices.Equal(due[id], want):
			o.lost[fmt.Sprintf("%s, delivered to %v instead of %v", record.State, due[id], want)]++
		case record.State != d.Want[id].State && d.Want[id].State != queue.Pending && len(want) == 0:
			o.lost[string("state "+record.State+" instead of "+d.Want[id].State)]++
		case record.Subject != d.Want[id].Subject || record.Type != d.Want[id].Type:
			t.Errorf("%+v, want %+v", record, d.Want[id])
		default:
			o.whole++
		}
	}
	again := queuetest.Event("later", time.Now())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := q.Store(ctx, queue.Item{Event: again, Upstreams: []string{"ehr"}}); err != nil {
		t.Errorf("storing: %v; reported: %q", err, r.get())
	} else if got := claimAll(t, q, "ehr", 10); len(got) == 0 {
		t.Errorf("an event that is stored later is not due: %q", r.get())
	}
	return o
}

// waits reports whether an event waits for its completion.
func waits(r queue.Record) bool {
	return slices.ContainsFunc(r.Stages, func(d queue.DeliveryRecord) bool {
		return d.Upstream == storetest.Completion && d.State == queue.Pending
	})
}

// checkAll returns when the whole store has been checked and repaired.
func checkAll(t *testing.T, q *Queue) {
	t.Helper()
	whole := 0 // successive clean checks: a repair may have ended during the first
	for range 10 {
		eventually(t, "a repair", q.isRepaired)
		var err error
		for last := int64(0); ; {
			var unnamed []tables.Name
			last, unnamed, err = q.checkSome(last)
			if err == nil && len(unnamed) > 0 {
				err = q.addMissingNames(unnamed)
			}
			if err != nil || last == 0 {
				break
			}
		}
		q.repairIfDamaged(err)
		if err != nil || !q.isRepaired() {
			whole = 0
			continue
		}
		if whole++; whole == 2 {
			return
		}
	}
	t.Error("the store is still damaged after the repair")
}

// isRepaired reports whether the writer has repaired all found damage.
func (q *Queue) isRepaired() bool {
	for range 2 { // at the second call, no repair that began before the first is running
		rows := 0
		q.damagedRows.Range(func(any, any) bool { rows++; return true })
		if q.repairWanted.Load() || q.usable() != nil || rows > 0 {
			return false
		}
		idle(q)
	}
	return true
}

// claimAll claims all due deliveries, and waits for a repair that the claim triggers.
func claimAll(t *testing.T, q *Queue, upstream string, n int) []queue.Delivery {
	t.Helper()
	var all []queue.Delivery
	for range 20 {
		c, err := q.Claim(upstream, time.Now().Add(time.Hour), queue.Want{First: n, Retry: n})
		if err == nil && len(c.Deliveries) == 0 {
			return all
		}
		all = append(all, c.Deliveries...)
		if err != nil {
			eventually(t, "a repair", q.isRepaired)
		}
	}
	t.Errorf("claiming for %s did not end", upstream)
	return all
}

// within fails the test if f takes too long.
func within(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { f(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s has not returned", what)
	}
}

// One page at a time is lost or damaged before the start: the store opens, all events
// that are not on the page are delivered, and the others are reported.
func TestDamagedPages(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 120)
	whole, err := os.ReadFile(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(page []byte, random *rand.Rand){
		"zeros":    func(page []byte, _ *rand.Rand) { clear(page) },
		"garbage":  fill,
		"a byte":   func(page []byte, random *rand.Rand) { page[random.IntN(len(page))] ^= byte(1 + random.IntN(255)) },
		"a header": func(page []byte, random *rand.Rand) { fill(page[:16], random) },
		"32 bytes": func(page []byte, random *rand.Rand) { at := random.IntN(len(page) - 32); fill(page[at:at+32], random) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			sum := outcome{lost: make(map[string]int)}
			most, n := 0, 0
			for page := 0; page < len(whole)/tables.PageSize; page += 4 / trials.Of(4) {
				if name != "zeros" && page >= 16 && page%3 != 0 {
					continue // enough pages of this kind were tried
				}
				n++
				path := d.Copy(t)
				b := slices.Clone(whole)
				damage(b[page*tables.PageSize:(page+1)*tables.PageSize], random)
				if err := os.WriteFile(path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				o := d.try(t, path)
				if o.refused != nil {
					t.Errorf("page %d: %v", page+1, o.refused)
					continue
				}
				n := o.total()
				if n > 0 && len(o.reported) == 0 || n > storetest.RowsOn(whole[page*tables.PageSize:], page+1) {
					t.Errorf("page %d: %v; reported: %q", page+1, o.lost, o.reported)
				}
				for what, n := range o.lost {
					sum.lost[what] += n
				}
				most = max(most, n)
				if testing.Verbose() && n > 0 {
					t.Logf("page %d: %v; reported: %q", page+1, o.lost, o.reported)
				}
			}
			t.Logf("%d trials with %d events: at most %d problems in one trial, in total %v", n, len(d.IDs), most, sum.lost)
		})
	}
}

func fill(b []byte, random *rand.Rand) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

// A byte of the counts, or of the name of an upstream, is damaged.
func TestDamagedValues(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 60)
	sum := binary.BigEndian.AppendUint32(nil, uint32(tables.UpstreamRow(2, "lab")[2].(int64)))
	for name, c := range map[string]struct {
		texts []string // one of these is in the file
		at    int      // offset from the start of the text
	}{
		"counts":   {[]string{`"dead":{"lab":`}, len(`"dead":{"lab":`)},
		"upstream": {[]string{"lab" + string(sum), "lab\x00\x00" + string(sum)}, 0},
		"index":    {[]string{"lab\x02"}, 0}, // of the upstream names
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := d.Copy(t)
			b := readFile(t, path)
			at := -1
			for _, text := range c.texts {
				at = max(at, bytes.Index(b, []byte(text)))
			}
			if at < 0 {
				t.Fatalf("%q is not in the file", c.texts)
			}
			b[at+c.at] ^= 1
			writeFile(t, path, b)
			if o := d.try(t, path); o.refused != nil || o.whole != len(d.IDs) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// upstreams is the column of the payload's row that the event's row does not have.
var upstreams = regexp.MustCompile(`\[("|\])|null`)

// One byte of an event's row is damaged at a time: the payload's row and the
// deliveries' rows contain the same data, and nothing is lost.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 40)
	whole := readFile(t, d.Path)
	in := func(s queue.State) func(queue.Record) bool {
		return func(r queue.Record) bool { return r.State == s && len(r.Stages) == 0 }
	}
	for name, selected := range map[string]func(queue.Record) bool{
		"pending": in(queue.Pending), "dead": in(queue.Dead), "unrouted": in(queue.Unrouted), "waiting": waits,
		"completed": func(r queue.Record) bool { return r.State == queue.Pending && len(r.Stages) > 0 && !waits(r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := slices.IndexFunc(d.IDs, func(id string) bool { return selected(d.Want[id]) })
			id, random := d.IDs[i], rand.New(rand.NewPCG(21, uint64(i)))
			places := 0
			for at := bytes.Index(whole, []byte(id+"soapnoteapi")); at >= 0; {
				page := at / tables.PageSize
				if whole[page*tables.PageSize] == 13 { // a leaf page of a table
					places++
					from, to := -13, 60
					if upstreams.Match(whole[at : at+150]) { // the payload's row, whose id is not needed; there may be an older copy of it
						from, to = 0, len(id)
					}
					for offset := from; offset < to; offset += 8/trials.Of(8) + random.IntN(3) {
						path, b := d.Copy(t), slices.Clone(whole)
						b[at+offset] ^= 1 << random.IntN(8)
						writeFile(t, path, b)
						if o := d.try(t, path); o.refused != nil || o.total() > 0 {
							t.Errorf("byte %d of row %d of %s: %v, %v; reported: %q", offset, places, id, o.refused, o.lost, o.reported)
						}
					}
				}
				next := bytes.Index(whole[at+1:], []byte(id+"soapnoteapi"))
				if next < 0 {
					break
				}
				at += 1 + next
			}
			if places < 2 {
				t.Errorf("the file has %d rows of %s, want those of event and payload", places, id)
			}
		})
	}
}

// Missing names are added, so that events are found again.
func TestMissingNames(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 20)
	q := mustOpen(t, Options{Path: d.Path, Settings: queue.DefaultSettings()})
	err := q.do(t.Context(), func(tx *tx) error {
		if err := tx.exec(`DELETE FROM name`); err != nil {
			return err
		}
		return tx.exec(`UPDATE meta SET named = (SELECT max(seq) FROM event)`)
	})
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	q = mustOpen(t, Options{Path: d.Path, Settings: queue.DefaultSettings()})
	for _, id := range d.IDs { // the check starts by itself
		eventually(t, id+" is found", func() bool { _, err := q.Event(t.Context(), id); return err == nil })
	}
}

// A rebuilt file has the mode of the damaged one, which is kept, even if the path is a
// link. Without the key nothing is changed.
func TestRebuiltFile(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 30)
	path := d.Copy(t)
	b := readFile(t, path)
	clear(b[(tables.RootEvent-1)*tables.PageSize : tables.RootEvent*tables.PageSize])
	writeFile(t, path, b)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := errors.Join(os.Chmod(path, 0o640), os.Symlink(path, link), os.Rename(path+".key", path+".away")); err != nil {
		t.Fatal(err)
	}
	o := Options{Path: link, Keys: []seal.Key{seal.NewKey()}, Settings: queue.DefaultSettings()}
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "not among those given") {
		t.Errorf("with another key: %v", err)
	}
	if !bytes.Equal(readFile(t, path), b) {
		t.Error("with another key the file was changed")
	}
	if err := os.Rename(path+".away", path+".key"); err != nil {
		t.Fatal(err)
	}
	o.Keys = nil
	mustClose(t, mustOpen(t, o))
	kept, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(kept) != 1 || !bytes.Equal(readFile(t, kept[0]), b) {
		t.Errorf("kept: %q, %v", kept, err)
	}
	for _, name := range []string{path, link} {
		if info, err := os.Stat(name); err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if target, err := os.Readlink(link); err != nil || target != path {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// A bit is flipped in an inner page of a table or an index: at most the event whose
// record contains it is not delivered.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 120)
	whole := readFile(t, d.Path)
	random := rand.New(rand.NewPCG(9, 10))
	n := trials.Of(120)
	lost := 0
	for i := range n {
		page := 2 + i%14 // the roots of all tables and indexes except the schema
		at := random.IntN(tables.PageSize)
		for whole[page*tables.PageSize+at] == 0 && random.IntN(10) > 0 { // mostly used bytes
			at = random.IntN(tables.PageSize)
		}
		path, b := d.Copy(t), slices.Clone(whole)
		b[page*tables.PageSize+at] ^= 1 << random.IntN(8)
		writeFile(t, path, b)
		o := d.try(t, path)
		if n := o.total(); o.refused != nil || n > 1 || n > 0 && len(o.reported) == 0 {
			t.Errorf("page %d, byte %d: %v, %v; reported: %q", page+1, at, o.refused, o.lost, o.reported)
		}
		lost += o.total()
	}
	t.Logf("%d trials with %d events: %d problems in total", n, len(d.IDs), lost)
}
