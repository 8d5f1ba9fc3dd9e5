package boltqueue

import (
	"encoding/binary"
	"math/bits"
)

// A block is blockSize places in the order of arrival that follow each other:
// those whose numbers differ in their last blockBits only.
const (
	blockBits = 10
	blockSize = 1 << blockBits
)

// blockOf is the block that a place is in.
func blockOf(seq uint64) uint64 { return seq >> blockBits }

// blockBegin is the lowest place of a block.
func blockBegin(block uint64) uint64 { return block << blockBits }

// placesBytes is how many bytes a set of places takes with a bit for each, and
// manyRuns from how many runs on that takes less than to tell where they are.
const (
	placesBytes = blockSize / 8
	manyRuns    = placesBytes / 4
)

// places are a set of the places of one block.
type places [blockSize / 64]uint64

func (p *places) has(seq uint64) bool {
	i := seq % blockSize
	return p[i/64]&(1<<(i%64)) != 0
}

// set has the set hold a place, or not hold it.
func (p *places) set(seq uint64, in bool) {
	i := seq % blockSize
	if in {
		p[i/64] |= 1 << (i % 64)
	} else {
		p[i/64] &^= 1 << (i % 64)
	}
}

// add adds the places of another set of the same block.
func (p *places) add(other *places) {
	for i := range p {
		p[i] |= other[i]
	}
}

// addRun adds the places from the one to the other, which is not among them.
func (p *places) addRun(begin, end int) {
	for begin < end {
		n := min(end-begin, 64-begin%64)
		p[begin/64] |= ^uint64(0) >> (64 - n) << (begin % 64)
		begin += n
	}
}

func (p *places) empty() bool { return *p == places{} }

// last tells the highest place, as a number within the block, that is in the set
// and at most the one given; -1 says that there is none.
func (p *places) last(most int) int {
	i := most / 64
	w := p[i] << (63 - most%64) >> (63 - most%64)
	for w == 0 {
		if i--; i < 0 {
			return -1
		}
		w = p[i]
	}
	return 64*i + 63 - bits.LeadingZeros64(w)
}

// next tells the first place from the one given on that is in the set, or is
// not in it; blockSize says that there is none.
func (p *places) next(from int, in bool) int {
	for from < blockSize {
		w := p[from/64]
		if !in {
			w = ^w
		}
		if w >>= from % 64; w != 0 {
			return from + bits.TrailingZeros64(w)
		}
		from += 64 - from%64
	}
	return blockSize
}

// runs is of how many runs of places without a gap the set consists.
func (p *places) runs() (n int) {
	var before uint64 // the last place of the word before
	for _, w := range p {
		n += bits.OnesCount64(w &^ (w<<1 | before))
		before = w >> 63
	}
	return n
}

// appendTo appends the coding of a set that is not empty: how many runs there
// are and, of each, how far from the end of the last it begins and its length;
// or 0 and a bit for each place, where there are many.
func (p *places) appendTo(b []byte) []byte {
	n := p.runs()
	if n >= manyRuns {
		b = append(b, 0)
		for _, w := range p {
			b = binary.BigEndian.AppendUint64(b, w)
		}
		return b
	}
	b = appendNumber(b, int64(n))
	for end := 0; n > 0; n-- {
		begin := p.next(end, true)
		b = appendNumber(b, int64(begin-end))
		end = p.next(begin, false)
		b = appendNumber(b, int64(end-begin))
	}
	return b
}

// places reads what places.appendTo wrote.
func (d *decoder) places() (p places) {
	n := d.number()
	if n == 0 {
		b := d.take(placesBytes)
		for i := range len(b) / 8 {
			p[i] = binary.BigEndian.Uint64(b[8*i:])
		}
		return p
	}
	for end := int64(0); n > 0 && !d.bad; n-- {
		begin := end + min(d.number(), blockSize)
		end = begin + min(d.number(), blockSize+1)
		if end > blockSize {
			d.fail()
			return p
		}
		p.addRun(int(begin), int(end))
	}
	return p
}
