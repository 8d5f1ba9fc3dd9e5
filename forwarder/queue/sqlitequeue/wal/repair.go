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

// Repair writes the log of a WAL, as Inspect finds it, to another file or in place of
// the same one, so that SQLite reads it to its end: the frames that are damaged are left
// out, and the header, salts and checksums are made anew. The file appears whole or not
// at all, has the mode of the original and is on stable storage when Repair returns. No
// database may be open on either file.
//
// A page whose frame is left out has the image of an earlier frame, or of the database
// file. See Report.Whole for what follows from that. A WAL that Inspect reports as
// unreadable is an error, and stays as it is.
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
	part := to + ".repaired" // replaces that of an attempt that was cut off
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

// write writes the log. It holds each frame back until the next one that is kept, so
// that the commit mark of a frame that is left out can move to it: the other frames of
// that transaction stay committed. Where a damaged frame has no plausible mark, its
// transaction is committed with the next one.
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
		sum = w.sumBehind(sum, held)
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

// losesSchema reports whether page 1 is, or may be, among the pages that are lost.
func (r *Report) losesSchema() bool {
	for _, d := range r.Damaged {
		if d.Lost() && d.Page <= 1 {
			return true
		}
	}
	return r.More > 0
}

// distrustSize changes an image of page 1 so that SQLite uses the size of the database
// in the commit mark: an image older than the last can have a size that is too small,
// and SQLite would not read the pages behind it. The changed field is the version for
// which the size is valid; SQLite sets it again with the next commit.
// See https://sqlite.org/fileformat2.html, section 1.3.7.
func (f frame) distrustSize() {
	page := f.content()
	binary.BigEndian.PutUint32(page[92:], ^binary.BigEndian.Uint32(page[24:]))
}
