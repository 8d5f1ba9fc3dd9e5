package wal

import "encoding/binary"

// A cause is the damage to a frame, as far as the checksum reveals it.
type cause int

const (
	unknownCause cause = iota
	corrected          // one byte was damaged, and is now corrected
	highByte           // one byte is damaged, the highest of a word, but its position is not certain
)

// correct corrects a damaged byte of the frame if exactly one change of a byte makes
// the checksum right.
//
// The checksum is linear: if d is added to a word, the result changes by the value that
// d has after the following words. So correct follows the difference in the result
// backwards, word by word, and looks for a word in which changing one byte causes it.
// In a frame with other damage, or in an incomplete one, such a word exists by chance
// once in 2^44 frames. The effect of a highest byte is the same every 192 pairs of
// words, so its position is not certain. If the position may be in the page number,
// correct sets the page number to zero.
func (w *format) correct(seed checksum, f frame) cause {
	order := binary.ByteOrder(binary.LittleEndian)
	if w.big {
		order = binary.BigEndian
	}
	got, want := w.sumAfter(seed, f), f.sum()
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
				w.changeUncertain(f, func() { order.PutUint32(at, right) })
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

// changeUncertain applies a change to the page number or the commit mark that may be
// wrong, and keeps only the certain part. Of two possible database sizes it keeps the
// one that loses no page, or that is not larger by 2^24 pages.
func (w *format) changeUncertain(f frame, change func()) {
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
