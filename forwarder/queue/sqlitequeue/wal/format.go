package wal

import (
	"bytes"
	"encoding/binary"
	"io"
)

// A format is the content of a WAL's header, or what the frames reveal of it.
type format struct {
	big         bool // the checksums use big-endian words
	pageSize    int
	checkpoints uint32
	salt        []byte
	start       checksum // before the first frame
	damaged     bool     // the header is damaged; the fields are derived from the frames
}

// sumAfter returns the checksum after the frame.
func (w *format) sumAfter(seed checksum, f frame) checksum {
	return seed.add(w.big, f[:8]).add(w.big, f.content())
}

// continues reports whether the frame belongs to this generation and its checksum
// continues the seed.
func (w *format) continues(seed checksum, f frame) bool {
	return f != nil && f.page() != 0 && bytes.Equal(f.salt(), w.salt) && w.sumAfter(seed, f) == f.sum()
}

// searched is the number of frames to search if the header is damaged.
const searched = 32

// readFormat returns the format of a WAL. If the header is damaged, it returns the
// format in which one of the first frames continues the checksum of another, or nil.
func readFormat(r io.ReaderAt) (*format, error) {
	head, err := readFull(r, 0, headerSize)
	if len(head) < headerSize {
		return nil, err
	}
	magic, size := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[8:])
	checkpoints, stored := binary.BigEndian.Uint32(head[12:]), readChecksum(head[24:])
	w := &format{big: magic&1 != 0, pageSize: int(size), checkpoints: checkpoints, salt: head[16:24], start: stored}
	if magic&^1 == magicNumber && binary.BigEndian.Uint32(head[4:]) == fileVersion && size >= minPage && size <= maxPage &&
		size&(size-1) == 0 && stored == (checksum{}).add(w.big, head[:24]) {
		return w, nil
	}
	for i := range searched {
		for size := minPage; size <= maxPage; size *= 2 {
			both, err := readFull(r, frameOffset(size, i), 2*(frameHeader+size))
			if err != nil {
				return nil, err
			}
			if len(both) < frameHeader+size {
				continue
			}
			f, next := frame(both[:frameHeader+size]), frame(both[frameHeader+size:])
			for _, big := range []bool{false, true} {
				w := &format{big: big, pageSize: size, checkpoints: checkpoints, salt: f.salt(), start: stored, damaged: true}
				for _, seed := range []checksum{stored, (checksum{}).add(big, head[:24])} {
					if i == 0 && w.continues(seed, f) {
						w.start = seed
						return w, nil
					}
				}
				if len(next) == len(f) && w.continues(f.sum(), next) {
					return w, nil
				}
			}
		}
	}
	return nil, nil
}

// frameOffset returns the offset of a frame.
func frameOffset(pageSize, frame int) int64 {
	return headerSize + int64(frame)*int64(frameHeader+pageSize)
}

// readFull returns n bytes of the file from an offset, or fewer at its end.
func readFull(r io.ReaderAt, offset int64, n int) ([]byte, error) {
	b := make([]byte, n)
	n, err := r.ReadAt(b, offset)
	if err != nil && err != io.EOF {
		return nil, err
	}
	return b[:n], nil
}

// header returns a header of the format and its checksum.
func (w *format) header() ([]byte, checksum) {
	head := make([]byte, headerSize)
	magic := uint32(magicNumber)
	if w.big {
		magic |= 1
	}
	binary.BigEndian.PutUint32(head, magic)
	binary.BigEndian.PutUint32(head[4:], fileVersion)
	binary.BigEndian.PutUint32(head[8:], uint32(w.pageSize))
	binary.BigEndian.PutUint32(head[12:], w.checkpoints)
	copy(head[16:], w.salt)
	sum := checksum{}.add(w.big, head[:24])
	sum.put(head[24:])
	return head, sum
}
