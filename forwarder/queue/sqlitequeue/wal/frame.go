package wal

import (
	"encoding/binary"
	"math/bits"
)

// The format of a WAL: a header, then frames of a header and a page each. A frame's
// checksum covers its page number, its commit mark and its page, and continues the
// checksum of the previous frame. SQLite chooses new salts for each generation, which
// begins whenever SQLite starts again at the beginning of the file. See
// https://sqlite.org/fileformat2.html, section 4.
const (
	headerSize  = 32
	frameHeader = 24
	magicNumber = 0x377f0682 // the lowest bit is set for checksums of big-endian words
	fileVersion = 3007000
	minPage     = 512
	maxPage     = 65536
)

// A checksum is the checksum of everything from the header of a WAL to a position.
type checksum [2]uint32

// add returns the checksum after b, whose length is a multiple of 8.
func (s checksum) add(big bool, b []byte) checksum {
	s0, s1 := s[0], s[1]
	for ; len(b) >= 8; b = b[8:] {
		x0, x1 := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
		if big {
			x0, x1 = bits.ReverseBytes32(x0), bits.ReverseBytes32(x1)
		}
		s0 += x0 + s1
		s1 += x1 + s0
	}
	return checksum{s0, s1}
}

func readChecksum(b []byte) checksum {
	return checksum{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

func (s checksum) put(b []byte) {
	binary.BigEndian.PutUint32(b, s[0])
	binary.BigEndian.PutUint32(b[4:], s[1])
}

// oneByteFrom reports whether the two checksums differ in exactly one stored byte.
func (s checksum) oneByteFrom(t checksum) bool {
	return oneByte(uint64(s[0]^t[0])<<32 | uint64(s[1]^t[1]))
}

// oneByte reports whether exactly one byte of x is not zero.
func oneByte(x uint64) bool {
	return x != 0 && x>>(bits.TrailingZeros64(x)&^7) <= 0xff
}

// A frame is the bytes of a frame in the file.
type frame []byte

func (f frame) page() uint32    { return binary.BigEndian.Uint32(f) }
func (f frame) salt() []byte    { return f[8:16] }
func (f frame) sum() checksum   { return readChecksum(f[16:]) }
func (f frame) content() []byte { return f[frameHeader:] } // the page

// commit returns the commit mark: the size of the database in pages, or zero if the
// frame is not the last of its transaction.
func (f frame) commit() uint32 { return binary.BigEndian.Uint32(f[4:]) }

func (f frame) setCommit(size uint32) { binary.BigEndian.PutUint32(f[4:], size) }

// mark returns the commit mark of a frame with a wrong checksum, or zero if the mark is
// not plausible.
func (f frame) mark() uint32 {
	if f.page() > f.commit() {
		return 0
	}
	return f.commit()
}
