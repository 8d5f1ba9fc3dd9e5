package main

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
)

var damageIndexScenario = scenario{
	name: "index",
	text: "an index of the queue's file is damaged while the gateway is stopped",
	run:  runDamageIndex,
}

// A page is a page of a database file.
type page struct {
	index  string
	number int64
}

// runDamageIndex damages each index in two ways, each time with a new gateway.
func runDamageIndex(ctx context.Context, e *env) ([]result, error) {
	names, err := e.indexNames(ctx)
	if err != nil {
		return nil, err
	}
	row := result{fault: "index damaged while stopped", note: "reported, rebuilt while the gateway works, and nothing is missing"}
	var mu sync.Mutex
	var errs []error
	var work errgroup.Group
	work.SetLimit(4)
	for range e.pick(1, 10) {
		for n := range 2 * len(names) {
			name, whole := names[n/2], n%2 == 0
			work.Go(func() error {
				one, err := e.damageIndex(ctx, name, whole)
				mu.Lock()
				defer mu.Unlock()
				row.times++
				row.acknowledged, row.delivered, row.lost = row.acknowledged+one.acknowledged, row.delivered+one.delivered, row.lost+one.lost
				row.duplicated, row.recovery = row.duplicated+one.duplicated, max(row.recovery, one.recovery)
				if err != nil {
					errs = append(errs, fmt.Errorf("with the index %s damaged (whole page: %v): %w", name, whole, err))
				}
				return nil
			})
		}
	}
	_ = work.Wait() // the errors are in errs
	if len(errs) > 0 {
		row.note = fmt.Sprintf("FAILED: %d of %d", len(errs), row.times)
	}
	return []result{row}, errors.Join(errs...)
}

// indexNames returns the names of the indexes that have entries after some events.
func (e *env) indexNames(ctx context.Context) (names []string, err error) {
	d, err := e.newDamaged(ctx)
	if err != nil {
		return nil, err
	}
	defer d.closeInto(&err)
	pages, err := d.indexes(ctx)
	for _, p := range pages {
		names = append(names, p.index)
	}
	return names, err
}

// A damaged gateway was stopped while events waited for ehr. audit has accepted them.
type damaged struct {
	*rig
	text string
	book *book
}

// newDamaged returns a damaged gateway whose file is not damaged yet.
func (e *env) newDamaged(ctx context.Context) (_ *damaged, err error) {
	r, err := e.newRig(ctx, "ehr", "audit")
	if err != nil {
		return nil, err
	}
	d := &damaged{rig: r, text: r.caddyfile(options{}), book: newBook()}
	defer func() {
		if err != nil {
			r.closeInto(&err)
		}
	}()
	if err := r.start(ctx, d.text); err != nil {
		return nil, err
	}
	ehr, audit := r.ledger.backend("ehr"), r.ledger.backend("audit")
	audit.behave(behavior{rejectFirst: 1})
	f := r.fleet()
	f.limit = e.pick(50, 1000)
	f.start(ctx, d.book).done() // all of these are delivered
	if err := eventually(ctx, "the first deliveries", func() (bool, error) { return ehr.events() == f.limit, nil }); err != nil {
		return nil, err
	}
	ehr.stop()
	f.limit *= 2
	f.start(ctx, d.book).done()
	if err := eventually(ctx, "the deliveries to the other upstream", func() (bool, error) { return audit.events() == d.book.events(), nil }); err != nil {
		return nil, err
	}
	return d, r.stop()
}

func (e *env) damageIndex(ctx context.Context, name string, whole bool) (row result, err error) {
	d, err := e.newDamaged(ctx)
	if err != nil {
		return row, err
	}
	defer d.closeInto(&err)
	pages, err := d.indexes(ctx)
	if err != nil {
		return row, err
	}
	at := slices.IndexFunc(pages, func(p page) bool { return p.index == name })
	if at < 0 {
		return row, errors.New("the index has no entry")
	}
	if err := d.damagePage(pages[at].number, whole); err != nil {
		return row, err
	}
	took, failure := d.waitRepaired(ctx)
	row, err = d.settle(ctx, d.book, patience)
	row.recovery = took
	return row, errors.Join(failure, err)
}

// indexes returns the root pages of the indexes that have entries, sorted by name.
func (r *rig) indexes(ctx context.Context) (pages []page, err error) {
	file, err := os.ReadFile(r.queueFile())
	if err != nil {
		return nil, fmt.Errorf("reading the indexes: %w", err)
	}
	err = query(ctx, r.queueFile(), "SELECT name, rootpage FROM sqlite_schema WHERE type='index' ORDER BY name", func(rows *sql.Rows) error {
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
func (r *rig) damagePage(number int64, whole bool) error {
	file, err := os.ReadFile(r.queueFile())
	if err != nil {
		return err
	}
	page := file[(number-1)*pageSize(file):][:pageSize(file)]
	if whole {
		clear(page)
	} else {
		page[lastByte(page)] ^= 0xff
	}
	return os.WriteFile(r.queueFile(), file, 0o600)
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
	if err := d.ledger.backend("ehr").start(ctx); err != nil {
		return 0, err
	}
	w := d.ledger.watch(d.book)
	defer w.end()
	if err := d.start(ctx, d.text); err != nil {
		return 0, err
	}
	if took, err = d.after(ctx, w.first, "the first delivery of a waiting event"); err != nil {
		return took, err
	}
	if err := w.wait(ctx, patience, d.proc.ended); err != nil {
		return took, err
	}
	if n := w.left(); n > 0 {
		return took, fmt.Errorf("%d of %d deliveries are missing; the gateway's last lines are:\n%s", n, w.number, d.proc.tail(10))
	}
	if err := eventually(ctx, "an error about the damage", func() (bool, error) {
		log, err := os.ReadFile(d.proc.log)
		return strings.Contains(string(log), `"level":"error"`), err
	}); err != nil {
		return took, err
	}
	unreadable := 0
	if err := eventually(ctx, "a status without unreadable events", func() (bool, error) {
		s, err := d.status(ctx)
		if errors.As(err, new(adminStatus)) {
			return false, nil // the index is being rebuilt
		}
		unreadable = s.Queue.Unreadable
		return unreadable == 0, err
	}); err != nil {
		return took, fmt.Errorf("%d events count as unreadable, although only an index was damaged: %w; the gateway's last lines are:\n%s", unreadable, err, d.proc.tail(10))
	}
	return took, d.rebuilt(ctx)
}

// rebuilt waits until a copy of the store is intact.
func (d *damaged) rebuilt(ctx context.Context) error {
	var damage error
	err := eventually(ctx, "the repair", func() (bool, error) {
		s, err := d.quietSnapshot(ctx)
		if err != nil {
			return false, err
		}
		dir, err := os.MkdirTemp(d.dir, "copy-")
		if err != nil {
			return false, err
		}
		file, err := s.writeTo(dir)
		if err != nil {
			return false, err
		}
		damage = intact(ctx, file)
		return damage == nil, os.RemoveAll(dir)
	})
	if err != nil {
		return errors.Join(err, damage)
	}
	return nil
}
