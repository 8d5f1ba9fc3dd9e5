package salvage

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"

	"modernc.org/sqlite/vfs"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
)

// The offsets of fields in page 1, see https://sqlite.org/fileformat2.html.
const (
	offsetFormat       = 18
	offsetChanges      = 24
	offsetPages        = 28
	offsetPagesChanges = 92 // the change counter for which the number of pages is valid
)

// An image is the content of a store's file and its WAL, which SQLite reads as one
// read-only file. The store's files are not changed, and no file is created next to
// them. Pages of an image can be replaced.
type image struct {
	main, log *os.File // nil if the file is missing
	stored    uint32   // number of pages in the main file
	pages     uint32
	logged    map[uint32]int64 // by page: the offset of its newest content in the log
	firstMeta int64            // the offset of the oldest content of table meta in the log
	replaced  map[uint32][]byte
	damaged   [][]byte // the pages that are damaged in the log, as found there
	report    wal.Report
	newFirst  bool   // page 1 was replaced by that of a new store
	short     bool   // pages at the end are missing
	temp      string // a directory for the repaired log

	vfs  *vfs.FS
	name string
	conn *tables.Conn
}

// openImage opens the files of a store.
func openImage(path string) (_ *image, err error) {
	m := &image{logged: make(map[uint32]int64), replaced: make(map[uint32][]byte)}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	if m.main, err = os.Open(path); err != nil && !errors.Is(err, fs.ErrNotExist) { // the path is from the configuration
		return nil, err
	}
	if err := m.readWAL(path + disk.WAL); err != nil {
		return nil, err
	}
	if err := m.readHeader(); err != nil {
		return nil, err
	}
	if m.name, m.vfs, err = vfs.New(m); err != nil {
		return nil, err
	}
	return m, m.reopen()
}

// readHeader determines the number of pages, and writes it to page 1.
func (m *image) readHeader() error {
	if m.main != nil {
		info, err := m.main.Stat()
		if err != nil {
			return err
		}
		m.stored = uint32(min((info.Size()+tables.PageSize-1)/tables.PageSize, math.MaxUint32))
	}
	first := make([]byte, tables.PageSize)
	if err := m.read(1, first); err != nil {
		return err
	}
	if m.pages == 0 {
		m.pages = binary.BigEndian.Uint32(first[offsetPages:])
		if valid := string(first[offsetChanges:offsetPages]) == string(first[offsetPagesChanges:offsetPagesChanges+4]); !valid || m.pages == 0 || m.pages > m.stored {
			m.short = valid && m.pages > m.stored
			m.pages = m.stored
		}
	}
	m.setFirst(first)
	return nil
}

// setFirst replaces page 1, without the fields that make SQLite look for a WAL.
func (m *image) setFirst(b []byte) {
	b[offsetFormat], b[offsetFormat+1] = 1, 1
	binary.BigEndian.PutUint32(b[offsetPages:], m.pages)
	copy(b[offsetPagesChanges:], b[offsetChanges:offsetPages])
	m.replaced[1] = b
}

// read reads a page. Missing bytes are zero.
func (m *image) read(page uint32, b []byte) error {
	if r := m.replaced[page]; r != nil {
		copy(b, r)
		return nil
	}
	in, at := m.main, int64(page-1)*tables.PageSize
	if offset, ok := m.logged[page]; ok {
		in, at = m.log, offset
	}
	clear(b)
	if in == nil {
		return nil
	}
	if _, err := in.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		clear(b) // an unreadable sector loses the whole page
	}
	return nil
}

// reopen opens a connection that sees the present pages.
func (m *image) reopen() (err error) {
	if m.conn != nil {
		err = m.conn.Close()
	}
	if err == nil {
		m.conn, err = tables.Open("store", url.Values{"vfs": {m.name}, "immutable": {"1"}, "mode": {"ro"}}, `PRAGMA query_only=ON`, `PRAGMA temp_store=MEMORY`)
	}
	return err
}

func (m *image) close() error {
	var errs []error
	if m.conn != nil {
		errs = append(errs, m.conn.Close())
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

// checkSchema returns an error unless the image is a store of this version or an older one. If the
// first page is damaged, it is replaced by that of a new store, which has the same root
// pages.
func (m *image) checkSchema(path string) error {
	err := tables.CheckSchema(m.conn, path)
	if !errors.Is(err, policy.ErrDamaged) {
		return err
	}
	first, err := tables.FirstPage()
	if err != nil {
		return err
	}
	m.newFirst = true
	m.setFirst(first)
	return m.reopen()
}
