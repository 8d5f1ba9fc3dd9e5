package wal

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// A reader reads and verifies the frames of a WAL in order, up to the end of the file.
type reader struct {
	*format
	in         *bufio.Reader
	cur, ahead frame // ahead is nil after the last frame
	index      int
	seed       checksum // before the next frame
	sure       bool     // the seed is certain: the previous frames agree with it
	boundary   bool     // the next frame is the first of a transaction
}

func newReader(in io.ReaderAt, w *format) *reader {
	const most = 1 << 62
	return &reader{
		format: w, in: bufio.NewReaderSize(io.NewSectionReader(in, headerSize, most), 256<<10),
		index: -1, seed: w.start, sure: !w.damaged, boundary: true,
	}
}

// A readFrame is a frame and the results of its verification.
type readFrame struct {
	frame
	index   int
	state   State
	linked  bool // continues the checksum of the previous frame
	trusted bool // the page number and the commit mark are probably right
}

func (f readFrame) kept() bool { return f.state != Dropped }

// committed returns the commit mark of a frame, even if the frame is dropped.
func (f readFrame) committed() uint32 {
	switch {
	case f.linked && f.kept():
		return f.commit()
	case f.trusted:
		return f.mark()
	}
	return 0
}

// advance moves to the next frame, or returns io.EOF.
func (w *reader) advance() error {
	if w.index < 0 {
		w.cur, w.ahead = make(frame, frameHeader+w.pageSize), make(frame, frameHeader+w.pageSize)
		if err := w.fill(); err != nil {
			return err
		}
	}
	if w.ahead == nil {
		return io.EOF
	}
	w.cur, w.ahead = w.ahead, w.cur
	w.index++
	return w.fill()
}

// fill reads the frame ahead. It ignores a truncated frame.
func (w *reader) fill() error {
	_, err := io.ReadFull(w.in, w.ahead)
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		w.ahead = nil
		return nil
	}
	return err
}

// next returns the next frame, which is valid until the next call, or io.EOF. If the
// checksum identifies a damaged byte, the returned frame has the correct byte.
func (w *reader) next() (readFrame, error) {
	if err := w.advance(); err != nil {
		return readFrame{}, err
	}
	f := readFrame{frame: w.cur, index: w.index}
	ours := bytes.Equal(f.salt(), w.salt)
	f.trusted = ours
	if stored := f.sum(); !w.sure && !ours { // mostly a frame of an older generation
		f.state, w.seed = Dropped, stored
	} else {
		w.seed = w.judge(&f, stored, w.sumAfter(w.seed, w.cur))
	}
	w.sure, w.boundary = f.linked, f.committed() != 0
	return f, nil
}

// judge sets the state of a frame from its stored and its computed checksum, and
// returns the checksum that the next frame must continue.
func (w *reader) judge(f *readFrame, stored, computed checksum) checksum {
	if computed == stored && f.page() != 0 {
		if f.linked = true; !f.trusted { // the salts are damaged
			f.state = Restored
		}
		return stored
	}
	ahead := w.continues(stored, w.ahead)
	if w.sure && !ahead {
		switch {
		case w.continues(computed, w.ahead):
			f.linked, f.state = true, Restored
			return computed
		case w.ahead == nil && computed.oneByteFrom(stored):
			f.linked, f.state = true, Unverified
			return computed
		}
	}
	switch w.correct(w.seed, w.cur) {
	case corrected:
		f.linked, f.state = true, Restored
	case highByte:
		// After a commit, it may also be a frame of a failed commit that began with
		// almost the same pages.
		f.linked, f.state = !w.boundary, Dropped
	default:
		f.state = Dropped
		if ahead && !w.sure && f.page() != 0 && (f.commit() == 0 || f.mark() != 0) {
			f.state = Unverified
		}
	}
	return stored
}
