package wal

import "encoding/binary"

// A cause is what the checksum of a frame reveals of the damage to it.
type cause int

const (
	unknownCause cause = iota
	corrected          // one byte was damaged, and is right now
	highByte           // one byte is damaged, the highest of a word, but its place is not certain
)

// correct changes the one byte of the frame that makes its checksum right, where there
// is exactly one such byte.
//
// The checksum is linear: adding d to a word adds to the result what d becomes on its
// way through the words behind it. So the difference in the result is followed
// backwards, word by word, to one where a change of a byte leads to it. In a frame with
// other damage, or one that was not completely written, there is such a word by chance
// once in 2^44 frames. What becomes of a highest byte repeats itself every 192 pairs of
// words, so that its place is not certain. Where it may be in the page number, that is
// zero afterwards.
func (w *format) correct(seed checksum, f frame) cause {
	order := binary.ByteOrder(binary.LittleEndian)
	if w.big {
		order = binary.BigEndian
	}
	got, want := w.sumBehind(seed, f), f.sum()
	d0, d1 := want[0]-got[0], want[1]-got[1]
	high := (d0|d1)<<8 == 0
	var word []byte
	var right uint32
	found := 0
	for i := len(f) - 8; i >= 0; i -= 8 {
		if i == frameHeader-8 {
			i = 0 // the salts and the checksum are not covered
		}
		at, d := f[i:i+4], d0
		if d0 == 0 {
			at, d = f[i+4:i+8], d1
		}
		if old := order.Uint32(at); (d0 == 0 || d0 == d1) && oneByte(uint64(old^(old+d))) {
			word, right = at, old+d
			found++
			if i == 0 && high {
				w.doubt(f, func() { order.PutUint32(at, right) })
			}
		}
		d0, d1 = d0-(d1-d0), d1-d0
	}
	switch {
	case high && found > 0:
		return highByte
	case found != 1:
		return unknownCause
	}
	order.PutUint32(word, right)
	return corrected
}

// doubt makes a change that may be right to the page number or the commit mark of a
// frame, and keeps what is certain of them. Of two sizes of the database it keeps the
// one that loses no page, or is not larger by 2^24 pages.
func (w *format) doubt(f frame, change func()) {
	page, commit := f.page(), f.commit()
	change()
	if f.page() != page {
		binary.BigEndian.PutUint32(f, 0)
	}
	if low := min(commit, f.commit()); low == 0 || w.big {
		f.setCommit(low)
	} else {
		f.setCommit(max(commit, f.commit()))
	}
}
