package sqlitequeue

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite/vfs"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
)

// pageSize is that of the database's pages in bytes. On one of 4 KiB, one event of
// common size finds room and leaves half of it empty; on this one, four do.
const pageSize = 8192

// The offsets of fields in page 1, see https://sqlite.org/fileformat2.html.
const (
	offsetFormat       = 18
	offsetChanges      = 24
	offsetPages        = 28
	offsetPagesChanges = 92 // for which number of changes the number of pages is valid
)

// An image is the content of a store's file and its WAL, which SQLite reads as one file
// that nobody writes. The files are not changed, and none is made beside them. Pages can
// be replaced in it.
type image struct {
	main, log *os.File // nil where the file is missing
	stored    uint32   // pages in the main file
	pages     uint32
	logged    map[uint32]int64 // where in the log the newest content of a page is
	firstMeta int64            // where in the log the oldest content of table meta is
	replaced  map[uint32][]byte
	damaged   [][]byte // pages that are lost in the log, as they are there
	report    wal.Report
	grafted   bool   // page 1 is that of a new store
	cut       bool   // pages at the end are missing
	temp      string // a directory, for the log

	vfs  *vfs.FS
	name string
	conn *conn
}

// openImage opens the files of a store. Without its WAL, the image is of the main file.
func openImage(path string, withWAL bool) (_ *image, err error) {
	m := &image{logged: make(map[uint32]int64), replaced: make(map[uint32][]byte)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if m.main, err = os.Open(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // the path is the configuration's
		return nil, err
	}
	if withWAL {
		if err := m.readWAL(path + "-wal"); err != nil {
			return nil, err
		}
	}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	if m.name, m.vfs, err = vfs.New(m); err != nil {
		return nil, err
	}
	return m, m.reopen()
}

// readWAL finds the newest content of each page in what is committed in a WAL, also
// where that is damaged.
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
	const frame = 24 + pageSize
	var header [8]byte
	for i := range frames {
		at := int64(32 + i*frame)
		if _, err := m.log.ReadAt(header[:], at); errors.Is(err, io.EOF) {
			break // a repaired one lacks what could not be repaired
		} else if err != nil {
			return err
		}
		page := binary.BigEndian.Uint32(header[:])
		m.logged[page] = at + 24
		if page == rootMeta && m.firstMeta == 0 {
			m.firstMeta = at + 24
		}
		if pages := binary.BigEndian.Uint32(header[4:]); pages > 0 {
			m.pages = pages
		}
	}
	m.damaged = damaged
	return nil
}

// damagedFrames returns the pages of the frames that are damaged, and whose pages have an
// older content in a repaired WAL.
func damagedFrames(path string, r *wal.Report) (pages [][]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for _, d := range r.Damaged {
		b := make([]byte, pageSize)
		if _, err := f.ReadAt(b, d.Offset+24); err != nil {
			return nil, err
		}
		if d.Lost() {
			pages = append(pages, b)
		}
	}
	return pages, nil
}

// readHeader finds how many pages there are, and makes page 1 agree with that.
func (m *image) readHeader() error {
	if m.main != nil {
		info, err := m.main.Stat()
		if err != nil {
			return err
		}
		m.stored = uint32(min((info.Size()+pageSize-1)/pageSize, math.MaxUint32))
	}
	first := make([]byte, pageSize)
	if err := m.read(1, first); err != nil {
		return err
	}
	if m.pages == 0 {
		m.pages = binary.BigEndian.Uint32(first[offsetPages:])
		if valid := string(first[offsetChanges:offsetPages]) == string(first[offsetPagesChanges:offsetPagesChanges+4]); !valid || m.pages == 0 || m.pages > m.stored {
			m.cut = valid && m.pages > m.stored
			m.pages = m.stored
		}
	}
	m.setFirst(first)
	return nil
}

// setFirst replaces page 1, without the marks that would have SQLite look for a WAL.
func (m *image) setFirst(b []byte) {
	b[offsetFormat], b[offsetFormat+1] = 1, 1
	binary.BigEndian.PutUint32(b[offsetPages:], m.pages)
	copy(b[offsetPagesChanges:], b[offsetChanges:offsetPages])
	m.replaced[1] = b
}

// read reads a page. What is missing of it is zero.
func (m *image) read(page uint32, b []byte) error {
	if r := m.replaced[page]; r != nil {
		copy(b, r)
		return nil
	}
	in, at := m.main, int64(page-1)*pageSize
	if offset, ok := m.logged[page]; ok {
		in, at = m.log, offset
	}
	clear(b)
	if in == nil {
		return nil
	}
	if _, err := in.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		clear(b) // a bad sector costs its page
	}
	return nil
}

// continues reports whether the WAL may belong to the main file: it is of the same
// store, and no write of its row of meta is missing between what the main file has and
// what the WAL begins with. A main file that has more than the WAL was restored from a newer copy.
// Where that cannot be read, it may.
func (m *image) continues() (bool, error) {
	newest := m.logged[rootMeta]
	if newest == 0 || m.main == nil {
		return true, nil
	}
	var all [3]identity
	logged, replaced := m.logged, m.replaced
	defer func() { m.logged, m.replaced = logged, replaced }()
	for i, at := range []int64{0, m.firstMeta, newest} {
		m.logged, m.replaced = map[uint32]int64{rootMeta: at}, map[uint32][]byte{1: replaced[1]}
		if at == 0 {
			m.logged = nil
		}
		if err := m.conn.run(`PRAGMA shrink_memory`); err != nil {
			return true, err
		}
		var err error
		if all[i], err = readIdentity(m.conn); errors.Is(err, policy.ErrDamaged) {
			return true, nil
		} else if err != nil {
			return true, err
		}
	}
	main, first, last := all[0], all[1], all[2]
	lost := int64(len(m.report.Damaged) + m.report.More)
	return main.store == last.store && first.writes-1-lost <= main.writes && main.writes <= last.writes+lost, m.reopen()
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

// reopen opens a connection that sees the pages as they are now.
func (m *image) reopen() (err error) {
	if m.conn != nil {
		err = m.conn.close()
	}
	if err == nil {
		m.conn, err = openConn("store", url.Values{"vfs": {m.name}, "immutable": {"1"}, "mode": {"ro"}}, `PRAGMA query_only=ON`, `PRAGMA temp_store=MEMORY`)
	}
	return err
}

// walDamaged reports whether something of the WAL is missing in the image.
func (m *image) walDamaged() bool { return m.report.IsDamaged() && !m.report.Whole() }

func (m *image) close() error {
	var errs []error
	if m.conn != nil {
		errs = append(errs, m.conn.close())
	}
	if m.vfs != nil {
		errs = append(errs, m.vfs.Close())
	}
	for _, f := range []*os.File{m.main, m.log} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	if m.temp != "" {
		errs = append(errs, os.RemoveAll(m.temp))
	}
	return errors.Join(errs...)
}

// Open implements fs.FS.
func (m *image) Open(name string) (fs.File, error) {
	if name != "store" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &imageFile{m: m}, nil
}

// An imageFile is an image as SQLite reads it, by one connection.
type imageFile struct {
	m  *image
	at int64
	b  [pageSize]byte
}

// Seek implements io.Seeker. SQLite seeks from the beginning only.
func (f *imageFile) Seek(offset int64, _ int) (int64, error) {
	f.at = offset
	return offset, nil
}

// Read implements fs.File.
func (f *imageFile) Read(b []byte) (int, error) {
	page := uint32(f.at/pageSize) + 1
	if page > f.m.pages {
		return 0, io.EOF
	}
	if err := f.m.read(page, f.b[:]); err != nil {
		return 0, err
	}
	n := copy(b, f.b[f.at%pageSize:])
	f.at += int64(n)
	return n, nil
}

// Close implements fs.File.
func (*imageFile) Close() error { return nil }

// Stat implements fs.File.
func (f *imageFile) Stat() (fs.FileInfo, error) { return imageInfo{f.m}, nil }

// imageInfo describes an image.
type imageInfo struct{ m *image }

func (imageInfo) Name() string       { return "store" }
func (i imageInfo) Size() int64      { return int64(i.m.pages) * pageSize }
func (imageInfo) Mode() fs.FileMode  { return 0o400 }
func (imageInfo) ModTime() time.Time { return time.Time{} }
func (imageInfo) IsDir() bool        { return false }
func (imageInfo) Sys() any           { return nil }

var (
	_ fs.FS     = (*image)(nil)
	_ io.Seeker = (*imageFile)(nil)
)
