package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Inspect returns a report of the damage in a WAL, without changing it. Its memory use
// does not depend on the file's size. The WAL must not be in use. A file that is
// missing, empty or shorter than a frame is not damaged.
//
// A power failure and a rollback also leave frames with wrong checksums, but only of
// one transaction, since SQLite syncs each transaction (synchronous=FULL) before it
// writes the next. So if frames continue each other's checksums across the end of a
// transaction, all earlier frames were committed, and an earlier frame with a wrong
// checksum is damaged. In the last transaction, damage of more than a byte looks like a
// power failure and is treated as one. If the commit mark of the previous transaction
// is destroyed too, both count as one transaction.
func Inspect(path string) (Report, error) {
	f, err := os.Open(path) // the path is from the configuration
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, nil
	} else if err != nil {
		return Report{}, fmt.Errorf("inspecting the WAL: %w", err)
	}
	defer f.Close()
	r, _, err := inspect(f)
	if err != nil {
		return r, fmt.Errorf("inspecting the WAL: %w", err)
	}
	return r, nil
}

func inspect(in io.ReaderAt) (Report, *format, error) {
	r := Report{lastSchema: -1}
	w, err := readFormat(in)
	if err != nil {
		return r, nil, err
	}
	if w == nil {
		first, err := readFull(in, 0, headerSize+frameHeader+minPage)
		r.Unreadable = len(first) == headerSize+frameHeader+minPage
		return r, nil, err
	}
	r.PageSize, r.Salt, r.HeaderDamaged = w.pageSize, readChecksum(w.salt), w.damaged
	if err := r.findEnd(newReader(in, w)); err != nil || r.End <= r.Frames && !r.HeaderDamaged {
		return r, w, err
	}
	return r, w, r.findDamage(newReader(in, w))
}

// findEnd counts the frames that SQLite reads and the frames of the log.
func (r *Report) findEnd(in *reader) error {
	reads := !r.HeaderDamaged // SQLite reads all frames so far
	proved := true            // all frames so far were committed, or SQLite would accept them as committed
	commit := 0               // number of frames up to the last commit
	within := false           // the current run of linked frames contains a commit
	last := 0                 // number of frames up to the last of this generation
	for {
		f, err := in.next()
		if err == io.EOF { //nolint:errorlint // next returns it bare
			r.Tail = last - r.End
			return nil
		} else if err != nil {
			return err
		}
		if reads = reads && f.state == Intact; reads {
			r.Frames, r.Committed = f.index+1, f.commit() != 0
		}
		switch {
		case f.linked && within && !proved:
			proved, r.End = true, commit
		case !f.linked:
			proved, within = proved && f.index == 0 && f.state == Unverified, false
		}
		if f.linked || f.trusted {
			last = f.index + 1
		}
		if f.committed() != 0 {
			within, commit = true, f.index+1
			if proved {
				r.End = commit
			}
		}
	}
}

// findDamage lists the damaged frames of the log.
func (r *Report) findDamage(in *reader) error {
	lost := make(map[uint32]bool) // pages with a dropped frame
	for {
		f, err := in.next()
		if err == io.EOF || err == nil && f.index >= r.End { //nolint:errorlint // next returns it bare
			return nil
		} else if err != nil {
			return err
		}
		if f.kept() {
			if f.page() == 1 {
				r.lastSchema = f.index
			}
			if f.state != Unverified && lost[f.page()] {
				delete(lost, f.page())
				for i, d := range r.Damaged {
					r.Damaged[i].Superseded = d.Superseded || d.Page == f.page()
				}
			}
		}
		if f.state == Intact {
			continue
		}
		if len(r.Damaged) == maxDamaged {
			r.More++
			continue
		}
		d := Damage{Frame: f.index, Offset: frameOffset(r.PageSize, f.index), State: f.state}
		if f.kept() || f.trusted {
			d.Page = f.page()
			lost[d.Page] = f.state != Restored
		}
		r.Damaged = append(r.Damaged, d)
	}
}
