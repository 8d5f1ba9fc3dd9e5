package tables

import (
	"encoding/binary"
	"errors"
	"io"
)

// The parts of page 1 and of a trunk page of the list of free pages, see
// https://sqlite.org/fileformat2.html. All numbers have 4 bytes.
const (
	offsetFirstTrunk = 32
	offsetFreeCount  = 36
	trunkHeader      = 8 // the next trunk page, and the number of entries
)

// lockPage is the page with the bytes that connections lock. It is never written.
const lockPage = 0x40000000/PageSize + 1

// NeverWritten returns the pages of a main file that need not have been written: the leaves
// of the list of free pages, and the page of the locks.
func NeverWritten(main io.ReaderAt) (map[int64]bool, error) {
	pages := map[int64]bool{lockPage: true}
	number := func(b []byte) int64 { return int64(binary.BigEndian.Uint32(b)) }
	page := make([]byte, PageSize)
	if _, err := main.ReadAt(page, 0); err != nil {
		return nil, err
	}
	trunk, left := number(page[offsetFirstTrunk:]), number(page[offsetFreeCount:])
	for ; trunk != 0; left-- {
		if _, err := main.ReadAt(page, (trunk-1)*PageSize); err != nil {
			return nil, err
		}
		n := number(page[4:])
		if left < 1 || n > (PageSize-trunkHeader)/4 || n > left {
			return nil, errors.New("the list of free pages is damaged")
		}
		for i := range n {
			pages[number(page[trunkHeader+4*i:])] = true
		}
		left -= n
		trunk = number(page)
	}
	return pages, nil
}
