package salvage

import (
	"encoding/binary"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// mapOf returns the page of the map that has the entry of a page: its kind and its
// parent. See https://sqlite.org/fileformat2.html, section 1.8.
func mapOf(page uint32) uint32 {
	const entries = tables.PageSize / 5
	return (page-2)/(entries+1)*(entries+1) + 2
}

// The kinds of pages in the map that are in trees.
const (
	mapRoot = 1
	mapNode = 5
)

// entry returns the kind of a page and its parent.
func (m *image) entry(page uint32) (kind byte, parent uint32) {
	var b [tables.PageSize]byte
	if page < 3 || page == mapOf(page) || m.read(mapOf(page), b[:]) != nil {
		return 0, 0
	}
	entry := b[5*(page-mapOf(page)-1):]
	return entry[0], binary.BigEndian.Uint32(entry[1:])
}

// owner returns the root of the tree that a page is in, or 0.
func (m *image) owner(page uint32) uint32 {
	for range 20 {
		switch kind, parent := m.entry(page); kind {
		case mapRoot:
			return page
		case mapNode:
			page = parent
		default:
			return 0
		}
	}
	return 0
}
