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
	// Restored is a frame that is whole: its salts or its checksum were damaged, or a
	// single byte that the checksum identifies.
	Restored
	// Unverified is a frame that is likely whole and is kept: the checksum in front of
	// it is destroyed, or its own is and no frame is behind it. Where two frames in a row
	// are damaged, each in its page, the second is Unverified, too.
	Unverified
	// Dropped is a frame that is damaged and left out.
	Dropped
)

// A Damage is a frame that is not as SQLite wrote it.
type Damage struct {
	Frame      int    // counted from 0
	Offset     int64  // of the frame in the file
	Page       uint32 // 0 where it is unknown
	State      State
	Superseded bool // a later frame holds the same page, so that nothing is lost
}

// Lost reports whether the database may have an older or a damaged image of the page.
func (d Damage) Lost() bool {
	return !d.Superseded && (d.State == Dropped || d.State == Unverified)
}

// A Report is the result of Inspect.
type Report struct {
	PageSize int
	Salt     [2]uint32

	// HeaderDamaged is set where SQLite ignores all frames because of the header.
	HeaderDamaged bool
	// Unreadable is set where no frame can be verified, since the header and the first
	// frames are damaged or the file is not a WAL.
	Unreadable bool

	Frames    int  // SQLite reads so many; it stops in front of the first that is not intact
	Committed bool // the last of them is a commit

	// End is the number of frames of the log, from the first to its last commit, with
	// those that are damaged. A frame behind it belongs to a transaction that was not
	// committed, not completely written or rolled back, or to an older generation.
	End  int
	Tail int // frames of this generation behind End

	Damaged []Damage // in the order of the log; at most maxDamaged
	More    int      // damaged frames that are not in Damaged

	lastSchema int // the last frame of page 1 that is kept, or -1
}

// maxDamaged bounds the memory that a report takes.
const maxDamaged = 4096

// IsDamaged reports whether SQLite would not read all of the log.
func (r *Report) IsDamaged() bool {
	return r.Unreadable || r.End > 0 && (r.HeaderDamaged || len(r.Damaged) > 0)
}

// Whole reports whether the repaired WAL holds everything that was committed. If it
// does not, some pages are older than others, and tables, indexes and the list of free
// pages may contradict each other: the rows must be copied to a new database before
// anything is written.
func (r *Report) Whole() bool {
	for _, d := range r.Damaged {
		if d.Lost() {
			return false
		}
	}
	return !r.Unreadable && r.More == 0
}

// Err returns what is damaged and what that costs, or nil.
func (r *Report) Err() error {
	if !r.IsDamaged() {
		return nil
	}
	if r.Unreadable {
		return errors.New("it is not a WAL, or too much of its beginning is damaged")
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
