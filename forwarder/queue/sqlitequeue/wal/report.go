package wal

import (
	"errors"
	"fmt"
)

// A State is the state of a frame of a WAL.
type State int

// The states of a frame.
const (
	// Intact is a frame as SQLite wrote it.
	Intact State = iota
	// Restored is a correct frame: its salts, its checksum or a single byte that the
	// checksum identifies were damaged, and are corrected.
	Restored
	// Unverified is a frame that is probably correct and is kept: the previous checksum
	// is destroyed, or its own checksum is destroyed and no frame follows. If the pages
	// of two consecutive frames are damaged, the second is Unverified too.
	Unverified
	// Dropped is a damaged frame that is dropped.
	Dropped
)

// A Damage is a frame that differs from the one that SQLite wrote.
type Damage struct {
	Frame      int    // counted from 0
	Offset     int64  // of the frame in the file
	Page       uint32 // 0 if unknown
	State      State
	Superseded bool // a later frame has the same page, so nothing is lost
}

// Lost reports whether the database may have an older or a damaged version of the page.
func (d Damage) Lost() bool {
	return !d.Superseded && (d.State == Dropped || d.State == Unverified)
}

// A Report is the result of Inspect.
type Report struct {
	PageSize int
	Salt     [2]uint32

	// HeaderDamaged is set if SQLite ignores all frames because of the header.
	HeaderDamaged bool
	// Unreadable is set if no frame can be verified, because the header and the first
	// frames are damaged or the file is not a WAL.
	Unreadable bool

	Frames    int  // the number that SQLite reads; it stops before the first that is not intact
	Committed bool // whether the last of them is a commit

	// End is the number of frames of the log, from the first to its last commit,
	// including damaged ones. A later frame belongs to an older generation, or to a
	// transaction that was not committed, was incomplete or was rolled back.
	End  int
	Tail int // frames of this generation after End

	Damaged []Damage // in the order of the log; at most maxDamaged
	More    int      // damaged frames that are not in Damaged

	lastSchema int // the last kept frame of page 1, or -1
}

// maxDamaged limits the memory of a report.
const maxDamaged = 4096

// IsDamaged reports whether SQLite would not read all of the log.
func (r *Report) IsDamaged() bool {
	return r.Unreadable || r.End > 0 && (r.HeaderDamaged || len(r.Damaged) > 0)
}

// Whole reports whether the repaired WAL has everything that was committed. If not,
// some pages are older than others, and tables, indexes and the list of free pages may
// contradict each other: the rows must be copied to a new database before anything is
// written.
func (r *Report) Whole() bool {
	for _, d := range r.Damaged {
		if d.Lost() {
			return false
		}
	}
	return !r.Unreadable && r.More == 0
}

// Err returns the damage and its consequences, or nil.
func (r *Report) Err() error {
	if !r.IsDamaged() {
		return nil
	}
	if r.Unreadable {
		return errors.New("it is not a WAL, or its header and first frames are damaged")
	}
	var dropped, unverified int
	for _, d := range r.Damaged {
		switch {
		case d.Lost() && d.State == Dropped:
			dropped++
		case d.Lost():
			unverified++
		}
	}
	where := "its header is damaged"
	if len(r.Damaged) > 0 {
		where = fmt.Sprintf("%d of its %d frames are damaged, the first at byte %d", len(r.Damaged)+r.More, r.End, r.Damaged[0].Offset)
	}
	if r.Whole() {
		return fmt.Errorf("%s; nothing is lost", where)
	}
	return fmt.Errorf("%s; %d pages are lost and %d cannot be verified", where, dropped+r.More, unverified)
}
