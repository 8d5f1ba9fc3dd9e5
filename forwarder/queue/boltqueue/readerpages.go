package boltqueue

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"math"
	"os"
)

// The pages of bbolt's format 2, read without bbolt, which trusts them: on a
// page that is not what it should be it panics at best, and runs without end
// where a damaged number leads in a circle. Numbers are in the machine's order.
const (
	branchPage  = 1
	leafPage    = 2
	pageElement = 16 // the size of what heads each element, on both kinds
	pageIDs     = 2  // the first page that is not a meta page

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // behind the header of a page
	metaSummed  = 56 // what the checksum covers

	minPageSize = 1 << 10
	maxPageSize = 1 << 24

	maxKeySize = maxID + 8 // of any bucket
)

// A span is where bytes stand in the file. Its size is 0 where there are none.
type span struct {
	off  int64
	size uint32
}

// A meta is what one of the two meta pages says.
type meta struct {
	pageSize int64
	root     uint64
	pages    uint64 // the first that was never in use
	txid     uint64
}

// parseMeta reads a meta page, without the page's header. A page that a single
// flipped bit keeps from being one is read as if it were whole.
func parseMeta(b []byte) (m meta, ok bool) {
	b = bytes.Clone(b)
	if m, ok = wholeMeta(b); ok {
		return m, true
	}
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if m, ok = wholeMeta(b); ok {
			return m, true
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	return meta{}, false
}

func wholeMeta(b []byte) (meta, bool) {
	order := binary.NativeEndian
	if order.Uint32(b) != metaMagic || order.Uint32(b[4:]) != metaVersion {
		return meta{}, false
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSummed]) // never fails
	if sum.Sum64() != order.Uint64(b[metaSummed:]) {
		return meta{}, false
	}
	m := meta{
		pageSize: int64(order.Uint32(b[8:])),
		root:     order.Uint64(b[16:]),
		pages:    order.Uint64(b[40:]),
		txid:     order.Uint64(b[48:]),
	}
	return m, m.pageSize >= minPageSize && m.pageSize <= maxPageSize && m.pageSize&(m.pageSize-1) == 0
}

// A pager reads the pages of a file as far as they can be read.
type pager struct {
	os       *os.File
	size     int64 // of the file in bytes
	pageSize int64
}

// findMetas reads the meta pages, the newer first, and finds out the size of a page.
// marked tells whether there is a sign of bbolt in the file.
func (p *pager) findMetas() (found []meta, marked bool) {
	offs := []int64{0}
	for size := int64(minPageSize); size <= maxPageSize; size *= 2 {
		offs = append(offs, size)
	}
	for _, off := range offs {
		b := p.read(span{off: off + pageHeader, size: metaSize})
		if len(b) < metaSize {
			continue
		}
		m, ok := parseMeta(b)
		if ok = ok && (off == 0 || off == m.pageSize); ok {
			found = append(found, m)
		}
		marked = marked || ok || binary.NativeEndian.Uint32(b) == metaMagic
	}
	if len(found) == 2 && found[1].txid > found[0].txid {
		found[0], found[1] = found[1], found[0]
	}
	p.pageSize = int64(os.Getpagesize())
	if len(found) > 0 {
		p.pageSize = found[0].pageSize
	}
	return found, marked
}

// read reads what there is of a span.
func (p *pager) read(s span) []byte {
	if s.off < 0 || s.off >= p.size {
		return nil
	}
	b := make([]byte, min(int64(s.size), p.size-s.off))
	n, _ := p.os.ReadAt(b, s.off) // what cannot be read is missing
	return b[:n]
}

// An element is one of a page: a key with its value, or with the page below it.
type element struct {
	key   []byte
	value span
	near  []byte // the value, where it has been read with the page
	child uint64
}

// bytes reads an element's value.
func (p *pager) bytes(e element) []byte {
	if e.near != nil {
		return e.near
	}
	return p.read(e.value)
}

// A page is one of either kind, with those of its elements that can be.
type page struct {
	kind     uint16
	elements []element
	whole    bool // whether all is as bbolt would have written it
}

func (p page) begins(key []byte) bool {
	return len(p.elements) > 0 && bytes.Equal(p.elements[0].key, key)
}

// page reads the page with the id. Where it does not say that it is the one, or
// of a kind that there is, it is still read if all else fits.
func (p *pager) page(id uint64) page {
	if id < pageIDs || id >= uint64(p.size/p.pageSize)+1 {
		return page{}
	}
	off := int64(id) * p.pageSize
	b := p.read(span{off: off, size: uint32(p.pageSize)})
	if len(b) < pageHeader {
		return page{}
	}
	room := p.pageSize * (1 + int64(binary.NativeEndian.Uint32(b[12:])))
	kind := binary.NativeEndian.Uint16(b[8:])
	if (kind == branchPage || kind == leafPage) && binary.NativeEndian.Uint64(b) == id {
		return p.parse(b, off, room, kind)
	}
	for _, kind := range []uint16{leafPage, branchPage} {
		if pg := p.parse(b, off, room, kind); pg.whole && len(pg.elements) > 0 {
			pg.whole = false
			return pg
		}
	}
	return page{}
}

// inline reads a bucket's page that stands in the element of the bucket above.
func (p *pager) inline(s span) page {
	b := p.read(s)
	if len(b) < pageHeader {
		return page{}
	}
	return p.parse(b, s.off, int64(s.size), leafPage)
}

// parse reads a page of a kind. b is its beginning, off where it stands in the
// file and room how many bytes it has.
func (p *pager) parse(b []byte, off, room int64, kind uint16) page {
	pg := page{kind: kind}
	pg.elements, pg.whole = p.elements(b, off, room, kind == leafPage)
	return pg
}

// A heading is what stands for an element at a page's beginning.
type heading struct {
	start, value, end int64 // from the beginning of the page
	flags             uint32
	child             uint64
}

func headingOf(b []byte, i int, leaf bool) heading {
	order := binary.NativeEndian
	at := pageHeader + i*pageElement
	b = b[at:]
	var h heading
	var valueSize uint32
	if leaf {
		h.flags, valueSize = order.Uint32(b), order.Uint32(b[12:])
		b = b[4:] // the rest is as on the other kind
	} else {
		h.child = order.Uint64(b[8:])
	}
	h.start = int64(at) + int64(order.Uint32(b))
	h.value = h.start + int64(order.Uint32(b[4:]))
	h.end = h.value + int64(valueSize)
	return h
}

// headings reads what stands for the elements. bbolt writes keys and values
// right behind each other and right behind the headings, so that any number that
// has changed shows, the number of elements too: that is the one with which the
// fewest do not fit together.
func headings(b []byte, leaf bool) (found []heading, whole bool) {
	limit := (len(b) - pageHeader) / pageElement
	count := int(binary.NativeEndian.Uint16(b[pageCount:]))
	if limit < 1 {
		return nil, count == 0
	}
	counts := []int{count, int(headingOf(b, 0, leaf).start-pageHeader) / pageElement}
	gaps := limit + 1
	for _, n := range counts {
		if n < 0 || n > limit {
			continue
		}
		all, loose := make([]heading, n), 0
		next := int64(pageHeader + n*pageElement)
		for i := range all {
			all[i] = headingOf(b, i, leaf)
			if all[i].start != next {
				loose++
			}
			next = all[i].end
		}
		if loose < gaps || (loose == gaps && n > len(found)) {
			found, gaps = all, loose
		}
	}
	if gaps > 0 {
		mend(found)
	}
	return found, gaps == 0 && len(found) == count
}

// mend puts right what the neighbours of an element tell better than its
// heading: where it stands, or how large it is.
func mend(all []heading) {
	next := int64(pageHeader + len(all)*pageElement)
	for i := range all {
		h := &all[i]
		last := i+1 == len(all)
		if moved := next - h.start; moved != 0 && (last || h.end+moved == all[i+1].start) {
			h.start, h.value, h.end = h.start+moved, h.value+moved, h.end+moved
		}
		sure := !last && (i+2 == len(all) || all[i+1].end == all[i+2].start) // of where the next one stands
		if sure && h.start == next && h.end != all[i+1].start && h.start < all[i+1].start {
			size := h.end - h.value
			h.end = all[i+1].start
			if h.value > h.end { // it is the key's size that is wrong
				h.value = max(h.start, h.end-size)
			}
		}
		next = h.end
	}
}

// elements reads the elements of a page that begins with b, stands at off in
// the file and has room bytes.
func (p *pager) elements(b []byte, off, room int64, leaf bool) (found []element, whole bool) {
	all, whole := headings(b, leaf)
	var last []byte
	for _, h := range all {
		whole = whole && h.flags <= 1
		keySize := h.value - h.start
		if keySize == 0 || keySize > maxKeySize || h.start < pageHeader || off+h.end > p.size || h.end > math.MaxUint32 {
			whole = false
			if !leaf {
				found = append(found, element{child: h.child}) // the key is not needed
			}
			continue
		}
		e := element{child: h.child}
		e.value = span{off: off + h.value, size: uint32(h.end - h.value)}
		if h.value <= int64(len(b)) {
			e.key = b[h.start:h.value]
		} else {
			e.key = p.read(span{off: off + h.start, size: uint32(keySize)})
		}
		if h.end <= int64(len(b)) {
			e.near = b[h.value:h.end]
		}
		whole = whole && h.end <= room && bytes.Compare(last, e.key) < 0
		last = e.key
		found = append(found, e)
	}
	return found, whole
}
