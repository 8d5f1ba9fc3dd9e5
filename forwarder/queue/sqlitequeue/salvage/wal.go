package salvage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
)

// A WALState is how a WAL that was left behind can be used.
type WALState int

// The states of a WAL.
const (
	// Usable is a WAL of the main file that SQLite reads to its end, or no WAL.
	Usable WALState = iota
	// Repairable is a WAL that SQLite would not read to its end, although it is
	// complete.
	Repairable
	// Incomplete is a WAL with missing pages, or one without the pages that the main
	// file lacks: the store must be rebuilt.
	Incomplete
	// Foreign is a WAL of another store, or of another state of this store.
	Foreign
	// Unreadable is a WAL of which nothing can be read.
	Unreadable
)

// InspectWAL returns how the WAL of a store that no process has open can be used, and
// the reason unless it is Usable.
func InspectWAL(path string) (s WALState, reason, err error) {
	if info, err := os.Stat(path + disk.WAL); err != nil || info.Size() == 0 {
		return Usable, nil, nil //nolint:nilerr // there is no WAL
	}
	m, err := openImage(path)
	if err != nil {
		return Usable, nil, err
	}
	report, truncated := m.report, m.truncated()
	continues, err := m.continues()
	if err := errors.Join(err, m.close()); err != nil {
		return Usable, nil, err
	}
	switch {
	case report.Unreadable:
		return Unreadable, report.Err(), nil
	case !continues:
		return Foreign, errors.New("it belongs to another store, or to another state of this store, and its events are not used"), nil
	case report.IsDamaged() && !report.Whole():
		return Incomplete, fmt.Errorf("%s%s: %w", path, disk.WAL, report.Err()), nil
	case truncated > 0:
		return Incomplete, fmt.Errorf("%s was truncated: %d pages are missing", path, truncated), nil
	case report.IsDamaged():
		return Repairable, report.Err(), nil
	}
	return Usable, nil, nil
}

// continues reports whether the WAL may belong to the main file: both are of the same
// store, and no write of its row in table meta is missing between the main file and the
// start of the WAL. A main file with more writes than the WAL was restored from a newer
// copy. If the identities are unreadable, continues returns true.
func (m *image) continues() (bool, error) {
	newest := m.logged[tables.RootMeta]
	if newest == 0 || m.main == nil {
		return true, nil
	}
	var all [3]tables.Identity
	logged, replaced := m.logged, m.replaced
	defer func() { m.logged, m.replaced = logged, replaced }()
	for i, at := range []int64{0, m.firstMeta, newest} {
		m.logged, m.replaced = map[uint32]int64{tables.RootMeta: at}, map[uint32][]byte{1: replaced[1]}
		if at == 0 {
			m.logged = nil
		}
		if err := m.conn.Run(`PRAGMA shrink_memory`); err != nil {
			return true, err
		}
		var err error
		if all[i], err = tables.ReadIdentity(m.conn); errors.Is(err, policy.ErrDamaged) {
			return true, nil
		} else if err != nil {
			return true, err
		}
	}
	main, first, last := all[0], all[1], all[2]
	lost := int64(len(m.report.Damaged) + m.report.More)
	return main.Store == last.Store && first.Writes-1-lost <= main.Writes && main.Writes <= last.Writes+lost, nil
}

// readWAL finds the newest committed content of each page in a WAL, even if the WAL is
// damaged.
func (m *image) readWAL(path string) (err error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	if m.report, err = wal.Inspect(path); err != nil || m.report.Unreadable {
		return err
	}
	frames := m.report.End
	var damaged [][]byte
	if m.report.IsDamaged() {
		if damaged, err = damagedFrames(path, &m.report); err != nil {
			return err
		}
		if m.temp, err = os.MkdirTemp("", "scribegate-*"); err != nil {
			return err
		}
		repaired := filepath.Join(m.temp, "wal")
		if _, err := wal.Repair(path, repaired); err != nil {
			return err
		}
		path = repaired
	}
	if m.log, err = os.Open(path); err != nil {
		return err
	}
	const frame = 24 + tables.PageSize
	var header [8]byte
	for i := range frames {
		at := int64(32 + i*frame)
		if _, err := m.log.ReadAt(header[:], at); errors.Is(err, io.EOF) {
			break // a repaired WAL ends where repair was impossible
		} else if err != nil {
			return err
		}
		page := binary.BigEndian.Uint32(header[:])
		m.logged[page] = at + 24
		if page == tables.RootMeta && m.firstMeta == 0 {
			m.firstMeta = at + 24
		}
		if pages := binary.BigEndian.Uint32(header[4:]); pages > 0 {
			m.pages = pages
		}
	}
	m.damaged = damaged
	return nil
}

// damagedFrames returns the pages in damaged frames for which the repaired WAL has only
// older content.
func damagedFrames(path string, r *wal.Report) (pages [][]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, d := range r.Damaged {
		b := make([]byte, tables.PageSize)
		if _, err := f.ReadAt(b, d.Offset+24); err != nil {
			return nil, err
		}
		if d.Lost() {
			pages = append(pages, b)
		}
	}
	return pages, nil
}

// truncated returns how many pages are missing at the end of the main file.
func (m *image) truncated() (n int) {
	if m.main == nil {
		return 0
	}
	for page := m.stored + 1; page <= m.pages; page++ {
		if m.logged[page] == 0 {
			n++
		}
	}
	return n
}

// walDamaged reports whether the image lacks a part of the WAL.
func (m *image) walDamaged() bool { return m.report.IsDamaged() && !m.report.Whole() }
