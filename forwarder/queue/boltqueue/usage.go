package boltqueue

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"
)

// A usage tells how much of a file is in use, in pages.
type usage struct {
	pages  uint64
	free   uint64
	listed bool // whether the file holds the list of its free pages; else free is not known
}

// Where bbolt keeps things, in bytes, as its format 2 has it. Numbers are in
// the machine's order, and a page is headed by its id (8), kind (2), number of
// elements (2) and overflow (4).
const (
	pageHeader  = 16
	pageCount   = 10 // of elements, in a page's header
	metaList    = pageHeader + 32
	metaPages   = pageHeader + 40
	metaTxID    = pageHeader + 48
	metaEnd     = pageHeader + 56
	noList      = ^uint64(0)
	countBeyond = 0xFFFF // the count is the first element instead
)

// usage reads what the state of the file that tx sees says of its pages. bbolt
// tells of free pages only once it has read or made the list of them, and to
// make it is just what a file that may be damaged must be spared.
func (f *file) usage(tx *bbolt.Tx) (usage, error) {
	b := make([]byte, metaEnd)
	for n := range int64(2) {
		if _, err := f.os.ReadAt(b, n*int64(f.page)); err != nil {
			return usage{}, err
		}
		if binary.NativeEndian.Uint64(b[metaTxID:]) != uint64(tx.ID()) {
			continue
		}
		u := usage{pages: binary.NativeEndian.Uint64(b[metaPages:])}
		list := binary.NativeEndian.Uint64(b[metaList:])
		if list == noList {
			return u, nil
		}
		if list >= u.pages {
			return usage{}, errFile("its list of free pages is damaged; restore a whole copy of it")
		}
		if _, err := f.os.ReadAt(b[:pageHeader+8], int64(list)*int64(f.page)); err != nil {
			return usage{}, err
		}
		u.listed, u.free = true, uint64(binary.NativeEndian.Uint16(b[pageCount:]))
		if u.free == countBeyond {
			u.free = binary.NativeEndian.Uint64(b[pageHeader:])
		}
		return u, nil
	}
	return usage{}, fmt.Errorf("no meta page is of transaction %d", tx.ID())
}

// wasteful reports whether compacting the file takes no time and gives much
// back, or spares opening it from reading all of it.
func (u usage) wasteful() bool {
	return !u.listed || (u.free > freelistSmall && u.pages-min(u.pages, u.free) < readThrough)
}
