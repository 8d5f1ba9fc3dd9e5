package files

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Index damages the indexes of the queue's file.
var Index = scenario.Scenario{
	Name: "index",
	Text: "an index of the queue's file is damaged while the gateway is stopped",
	Run:  runDamageIndex,
}

// A page is a page of a database file.
type page struct {
	index  string
	number int64
}

// runDamageIndex damages each index in two ways, each time with a new gateway.
func runDamageIndex(ctx context.Context, e *scenario.Env) ([]table.Row, error) {
	names, err := indexNames(ctx, e)
	if err != nil {
		return nil, err
	}
	row := table.Row{Fault: "index damaged while stopped", Note: "reported, rebuilt while the gateway works, and nothing is missing"}
	var mu sync.Mutex
	var errs []error
	var work errgroup.Group
	work.SetLimit(4)
	for range e.Pick(1, 10) {
		for n := range 2 * len(names) {
			name, whole := names[n/2], n%2 == 0
			work.Go(func() error {
				one, err := damageIndex(ctx, e, name, whole)
				mu.Lock()
				defer mu.Unlock()
				row.Times++
				row.Acknowledged, row.Delivered, row.Lost = row.Acknowledged+one.Acknowledged, row.Delivered+one.Delivered, row.Lost+one.Lost
				row.Duplicated, row.Recovery = row.Duplicated+one.Duplicated, max(row.Recovery, one.Recovery)
				if err != nil {
					errs = append(errs, fmt.Errorf("with the index %s damaged (whole page: %v): %w", name, whole, err))
				}
				return nil
			})
		}
	}
	_ = work.Wait() // the errors are in errs
	if len(errs) > 0 {
		row.Note = fmt.Sprintf("FAILED: %d of %d", len(errs), row.Times)
	}
	return []table.Row{row}, errors.Join(errs...)
}

// indexNames returns the names of the indexes that have entries after some events.
func indexNames(ctx context.Context, e *scenario.Env) (names []string, err error) {
	d, err := newDamaged(ctx, e)
	if err != nil {
		return nil, err
	}
	defer d.CloseInto(&err)
	pages, err := indexes(ctx, d.Rig)
	for _, p := range pages {
		names = append(names, p.index)
	}
	return names, err
}

// A damaged gateway was stopped while events waited for ehr. audit has accepted them.
type damaged struct {
	*gateway.Rig
	text string
	book *ledger.Book
}

// newDamaged returns a damaged gateway whose file is not damaged yet.
func newDamaged(ctx context.Context, e *scenario.Env) (_ *damaged, err error) {
	r, err := e.NewRig(ctx, "ehr", "audit")
	if err != nil {
		return nil, err
	}
	d := &damaged{Rig: r, text: r.Caddyfile(gateway.Options{}), book: ledger.NewBook()}
	defer func() {
		if err != nil {
			r.CloseInto(&err)
		}
	}()
	if err := r.Start(ctx, d.text); err != nil {
		return nil, err
	}
	ehr, audit := r.Ledger.Backend("ehr"), r.Ledger.Backend("audit")
	audit.Behave(ledger.Behavior{RejectFirst: 1})
	f := r.Fleet()
	f.Limit = e.Pick(50, 1000)
	f.Start(ctx, d.book).Done() // all of these are delivered
	if err := await.Eventually(ctx, "the first deliveries", func() (bool, error) { return ehr.Events() == f.Limit, nil }); err != nil {
		return nil, err
	}
	ehr.Stop()
	f.Limit *= 2
	f.Start(ctx, d.book).Done()
	if err := await.Eventually(ctx, "the deliveries to the other upstream", func() (bool, error) { return audit.Events() == d.book.Events(), nil }); err != nil {
		return nil, err
	}
	return d, r.Stop()
}

func damageIndex(ctx context.Context, e *scenario.Env, name string, whole bool) (row table.Row, err error) {
	d, err := newDamaged(ctx, e)
	if err != nil {
		return row, err
	}
	defer d.CloseInto(&err)
	pages, err := indexes(ctx, d.Rig)
	if err != nil {
		return row, err
	}
	at := slices.IndexFunc(pages, func(p page) bool { return p.index == name })
	if at < 0 {
		return row, errors.New("the index has no entry")
	}
	if err := damagePage(d.Rig, pages[at].number, whole); err != nil {
		return row, err
	}
	took, failure := d.waitRepaired(ctx)
	row, err = d.Settle(ctx, d.book, await.Patience)
	row.Recovery = took
	return row, errors.Join(failure, err)
}

// indexes returns the root pages of the indexes that have entries, sorted by name.
func indexes(ctx context.Context, r *gateway.Rig) (pages []page, err error) {
	file, err := os.ReadFile(r.QueueFile())
	if err != nil {
		return nil, fmt.Errorf("reading the indexes: %w", err)
	}
	err = gateway.Query(ctx, r.QueueFile(), "SELECT name, rootpage FROM sqlite_schema WHERE type='index' ORDER BY name", func(rows *sql.Rows) error {
		var p page
		if err := rows.Scan(&p.index, &p.number); err != nil {
			return err
		}
		const cells = 3 // offset of the number of entries in a page
		if binary.BigEndian.Uint16(file[(p.number-1)*pageSize(file)+cells:]) > 0 {
			pages = append(pages, p)
		}
		return nil
	})
	if err == nil && len(pages) == 0 {
		err = errors.New("reading the indexes: none has an entry")
	}
	return pages, err
}

// pageSize returns the page size in the header of a database file.
func pageSize(file []byte) int64 { return int64(binary.BigEndian.Uint16(file[16:])) }

// damagePage fills a page of an index with zeros, or inverts the last byte of its first entry.
func damagePage(r *gateway.Rig, number int64, whole bool) error {
	file, err := os.ReadFile(r.QueueFile())
	if err != nil {
		return err
	}
	page := file[(number-1)*pageSize(file):][:pageSize(file)]
	if whole {
		clear(page)
	} else {
		page[lastByte(page)] ^= 0xff
	}
	return os.WriteFile(r.QueueFile(), file, 0o600)
}

// lastByte returns the offset of the last byte of the first entry in a page of an index.
func lastByte(page []byte) int {
	const leaf = 0x0a
	pointers, child := 8, 0
	if page[0] != leaf {
		pointers, child = 12, 4
	}
	entry := int(binary.BigEndian.Uint16(page[pointers:])) + child
	size, n := binary.Uvarint(page[entry : entry+1]) // below 128, SQLite's varint is the same
	return entry + n + int(size) - 1
}

// waitRepaired starts the gateway with the damaged file, waits until all waiting events are delivered, and
// returns the time from the start to the first delivery. The damage must be logged, and must be repaired.
func (d *damaged) waitRepaired(ctx context.Context) (took time.Duration, err error) {
	if err := d.Ledger.Backend("ehr").Start(ctx); err != nil {
		return 0, err
	}
	w := d.Ledger.Watch(d.book)
	defer w.End()
	if err := d.Start(ctx, d.text); err != nil {
		return 0, err
	}
	if took, err = d.After(ctx, w.First, "the first delivery of a waiting event"); err != nil {
		return took, err
	}
	if err := w.Wait(ctx, await.Patience, d.Proc.Ended); err != nil {
		return took, err
	}
	if n := w.Left(); n > 0 {
		return took, fmt.Errorf("%d of %d deliveries are missing; the gateway's last lines are:\n%s", n, w.Number, d.Proc.Tail(10))
	}
	if err := await.Eventually(ctx, "an error about the damage", func() (bool, error) {
		log, err := os.ReadFile(d.Proc.Log)
		return strings.Contains(string(log), `"level":"error"`), err
	}); err != nil {
		return took, err
	}
	unreadable := 0
	if err := await.Eventually(ctx, "a status without unreadable events", func() (bool, error) {
		s, err := d.Status(ctx)
		if errors.As(err, new(gateway.AdminStatus)) {
			return false, nil // the index is being rebuilt
		}
		unreadable = s.Queue.Unreadable
		return unreadable == 0, err
	}); err != nil {
		return took, fmt.Errorf("%d events count as unreadable, although only an index was damaged: %w; the gateway's last lines are:\n%s", unreadable, err, d.Proc.Tail(10))
	}
	return took, d.rebuilt(ctx)
}

// rebuilt waits until a copy of the store is intact.
func (d *damaged) rebuilt(ctx context.Context) error {
	var damage error
	err := await.Eventually(ctx, "the repair", func() (bool, error) {
		s, err := d.QuietSnapshot(ctx)
		if err != nil {
			return false, err
		}
		dir, err := os.MkdirTemp(d.Dir, "copy-")
		if err != nil {
			return false, err
		}
		file, err := s.WriteTo(dir)
		if err != nil {
			return false, err
		}
		damage = gateway.Intact(ctx, file)
		return damage == nil, os.RemoveAll(dir)
	})
	if err != nil {
		return errors.Join(err, damage)
	}
	return nil
}
