package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
)

// Repair writes the log of a WAL to another file, or replaces the WAL, so that SQLite
// reads the log to its end. It drops the damaged frames, and writes new salts,
// checksums and a new header. The file appears complete or not at all, has the mode of
// the original, and is on stable storage when Repair returns. No database may have
// either file open.
//
// The page of a dropped frame has the content of an earlier frame, or of the database
// file. See Report.Whole for the consequences. If Inspect reports a WAL as unreadable,
// Repair returns an error and does not change it.
func Repair(from, to string) (Report, error) {
	r, err := rewrite(from, to)
	if err != nil {
		return r, fmt.Errorf("repairing the WAL: %w", err)
	}
	return r, nil
}

func rewrite(from, to string) (Report, error) {
	in, err := os.Open(from)
	if err != nil {
		return Report{}, err
	}
	defer in.Close()
	r, w, err := inspect(in)
	if err != nil || r.Unreadable {
		return r, errors.Join(err, r.Err())
	}
	info, err := in.Stat()
	if err != nil {
		return r, err
	}
	part := to + ".repaired" // replaces the file of an interrupted attempt
	out, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return r, err
	}
	buf := bufio.NewWriterSize(out, 256<<10)
	err = errors.Join(out.Chmod(info.Mode()), r.write(buf, in, w))
	err = errors.Join(err, buf.Flush(), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(part, to)
	}
	if err != nil {
		return r, errors.Join(err, os.Remove(part))
	}
	return r, disk.SyncDir(filepath.Dir(to))
}

// write writes the log. It delays each frame until the next kept frame, so that the
// commit mark of a dropped frame can move to it, and the other frames of its
// transaction stay committed. If a damaged frame has no plausible mark, its transaction
// is committed together with the next one.
func (r *Report) write(out io.Writer, in io.ReaderAt, w *format) error {
	if w == nil {
		return nil
	}
	head, sum := w.header()
	if _, err := out.Write(head); err != nil {
		return err
	}
	var held frame
	flush := func() error {
		if held == nil {
			return nil
		}
		copy(held.salt(), w.salt)
		sum = w.sumAfter(sum, held)
		sum.put(held[16:])
		_, err := out.Write(held)
		return err
	}
	frames := newReader(in, w)
	for range r.End {
		f, err := frames.next()
		if err != nil {
			return err
		}
		if !f.kept() {
			if size := f.committed(); size != 0 && held != nil {
				held.setCommit(size)
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		held = append(held[:0], f.frame...)
		if f.index == r.lastSchema && r.losesSchema() {
			held.distrustSize()
		}
	}
	return flush()
}

// losesSchema reports whether page 1 is, or may be, among the lost pages.
func (r *Report) losesSchema() bool {
	for _, d := range r.Damaged {
		if d.Lost() && d.Page <= 1 {
			return true
		}
	}
	return r.More > 0
}

// distrustSize changes the content of page 1 so that SQLite uses the size of the
// database in the commit mark: an older version of page 1 can contain a smaller size,
// and SQLite would not read the later pages. The changed field is the version for which
// the size is valid. SQLite sets it again with the next commit. See
// https://sqlite.org/fileformat2.html, section 1.3.7.
func (f frame) distrustSize() {
	page := f.content()
	binary.BigEndian.PutUint32(page[92:], ^binary.BigEndian.Uint32(page[24:]))
}
