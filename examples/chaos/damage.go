package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var damageScenario = scenario{
	name: "damage",
	text: "an index is damaged while the gateway is stopped; a byte of the WAL is flipped after kill -9",
	run:  runDamage,
}

func runDamage(ctx context.Context, e *env) ([]result, error) {
	indexes, err := e.damageIndexes(ctx)
	wal, walErr := e.damageWAL(ctx)
	return []result{indexes, wal}, errors.Join(err, walErr)
}

// A page is one of a database file's.
type page struct {
	index  string
	number int64
}

// damageIndexes damages one index after the other while events wait.
func (e *env) damageIndexes(ctx context.Context) (row result, err error) {
	row.fault = "index damaged while stopped"
	r, err := e.newRig(ctx, "ehr", "audit")
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	text := r.caddyfile(options{})
	if err := r.start(ctx, text); err != nil {
		return row, err
	}
	b := newBook()
	ehr, audit := r.ledger.backend("ehr"), r.ledger.backend("audit")
	audit.behave(manner{refuseFirst: 1})
	number := e.pick(100, 2000)
	for range e.pick(1, 10) {
		for n := 0; ; n++ {
			ehr.leave() // what waits is for it
			f := r.fleet()
			f.limit = number
			f.start(ctx, b).done()
			if err := r.stop(); err != nil {
				return row, err
			}
			pages, err := r.indexes(ctx)
			if err != nil {
				return row, err
			}
			if n == len(pages) {
				if err := errors.Join(ehr.come(ctx), r.start(ctx, text)); err != nil {
					return row, err
				}
				break
			}
			if err := r.damagePage(pages[n].number, n%2 == 0); err != nil {
				return row, err
			}
			took, err := r.outlivesDamage(ctx, text, b)
			if err != nil {
				return row, fmt.Errorf("with the index %s damaged: %w", pages[n].index, err)
			}
			row.times++
			row.recovery = max(row.recovery, took)
		}
	}
	row2, err := r.settle(ctx, b, longestPause)
	row2.fault, row2.times, row2.recovery = row.fault, row.times, row.recovery
	row2.note = "reported, rebuilt while the gateway works, and nothing is missing"
	return row2, err
}

// indexes are the root pages of the indexes that have any entries, sorted by name.
func (r *rig) indexes(ctx context.Context) (pages []page, err error) {
	file, err := os.ReadFile(r.queueFile())
	if err != nil {
		return nil, fmt.Errorf("looking for indexes: %w", err)
	}
	err = query(ctx, r.queueFile(), "SELECT name, rootpage FROM sqlite_schema WHERE type='index' ORDER BY name", func(rows *sql.Rows) error {
		var p page
		if err := rows.Scan(&p.index, &p.number); err != nil {
			return err
		}
		const cells = 3 // where a page has the number of its entries
		if binary.BigEndian.Uint16(file[(p.number-1)*pageSize+cells:]) > 0 {
			pages = append(pages, p)
		}
		return nil
	})
	if err == nil && len(pages) == 0 {
		err = errors.New("looking for indexes: none has an entry")
	}
	return pages, err
}

// pageSize is that of the queue's file.
const pageSize = 4096

// damagePage fills a page of the main file with zeros, or turns the bits of its last
// byte, where SQLite puts its first entry.
func (r *rig) damagePage(number int64, whole bool) error {
	f, err := os.OpenFile(r.queueFile(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, pageSize)
	at := (number - 1) * pageSize
	_, err = f.ReadAt(b, at)
	if whole {
		clear(b)
	} else {
		b[pageSize-1] ^= 0xff
	}
	if err == nil {
		_, err = f.WriteAt(b, at)
	}
	return errors.Join(err, f.Close())
}

// outlivesDamage starts the gateway on a damaged file, has all that waits delivered,
// and returns how long after the start the first delivery came. The damage must be
// in the log, and gone when the gateway has ended.
func (r *rig) outlivesDamage(ctx context.Context, text string, b *book) (took time.Duration, err error) {
	if err := r.ledger.backend("ehr").come(ctx); err != nil {
		return 0, err
	}
	w := r.ledger.watch(b)
	defer w.end()
	if err := r.start(ctx, text); err != nil {
		return 0, err
	}
	if took, err = r.after(ctx, w.first, "the first delivery of an event that waited"); err != nil {
		return took, err
	}
	if err := w.wait(ctx, patience, r.proc.ended); err != nil {
		return took, err
	}
	if n := w.left(); n > 0 {
		return took, fmt.Errorf("%d of %d deliveries are missing; the gateway printed last:\n%s", n, w.number, r.proc.tail(10))
	}
	if err := eventually(ctx, "the damage to be reported", func() (bool, error) {
		log, err := os.ReadFile(r.proc.log)
		return strings.Contains(string(log), `"level":"error"`), err
	}); err != nil {
		return took, err
	}
	s, err := r.status(ctx)
	if err != nil {
		return took, err
	}
	if s.Queue.Unreadable > 0 {
		return took, fmt.Errorf("%d events count as unreadable, though only an index was damaged", s.Queue.Unreadable)
	}
	if err := r.rebuilt(ctx); err != nil {
		return took, err
	}
	return took, r.start(ctx, text)
}

// rebuilt waits until a copy of the store is sound, and stops the gateway.
func (r *rig) rebuilt(ctx context.Context) error {
	var unsound error
	if err := eventually(ctx, "the damage to be repaired", func() (bool, error) {
		s, err := r.quietSnapshot(ctx)
		if err != nil {
			return false, err
		}
		dir, err := os.MkdirTemp(r.dir, "copy-")
		if err != nil {
			return false, err
		}
		file, err := s.writeTo(dir)
		if err != nil {
			return false, err
		}
		unsound = intact(ctx, file)
		return unsound == nil, os.RemoveAll(dir)
	}); err != nil {
		return errors.Join(err, unsound)
	}
	if err := r.stop(); err != nil {
		return err
	}
	return intact(ctx, filepath.Clean(r.queueFile()))
}
