package boltqueue

import (
	"bytes"
	"encoding/binary"
)

// maxDepth is how many pages lie above each other at most: far more than in any
// file that a disk holds.
const maxDepth = 24

// A tree is a bucket as the element above it tells it.
type tree struct {
	root   uint64
	inline span // instead, of a small one
}

// trees reads the buckets under a root page. It reports whether all are there.
func (d *reading) trees(root uint64) (found map[string]tree, whole bool) {
	found = make(map[string]tree)
	whole = d.walk(tree{root: root}, func(e element) {
		if t, _, ok := d.tree(e); ok {
			found[string(e.key)] = t
		}
	})
	return found, whole
}

// tree reads a bucket's element, and the bucket's sequence.
func (p *pager) tree(e element) (t tree, sequence uint64, ok bool) {
	b := p.bytes(e)
	if len(b) < pageHeader {
		return t, 0, false
	}
	if t.root = binary.NativeEndian.Uint64(b); t.root == 0 {
		t.inline = span{off: e.value.off + pageHeader, size: e.value.size - pageHeader}
	}
	return t, binary.NativeEndian.Uint64(b[8:]), true
}

// walk calls visit with the elements of a tree's leaves: all of them, whatever
// the keys on the pages above say. It reports whether every page was whole and
// in its place, and so whether visit has seen everything.
func (d *reading) walk(t tree, visit func(element)) (whole bool) {
	w := walking{reading: d, seen: make(map[uint64]struct{}), visit: visit, whole: true}
	if t.root == 0 {
		w.visitPage(d.inline(t.inline), t.inline.off)
	} else {
		w.descend(t.root, nil, 0)
	}
	return w.whole
}

// A walking is a walk through one tree.
type walking struct {
	*reading

	seen  map[uint64]struct{} // pages with pages below them
	visit func(element)
	last  []byte // the last key
	whole bool
}

// descend walks from the page on which the first key is the one given, where
// one is given.
func (w *walking) descend(id uint64, key []byte, depth int) {
	if w.ctx.Err() != nil {
		w.whole = false
		return
	}
	p := w.page(id)
	if key != nil && !p.begins(key) {
		w.damage(int64(id))
		id, p = w.nearly(id, key, p)
	}
	if p.kind != branchPage {
		w.visitPage(p, int64(id))
		return
	}
	_, twice := w.seen[id]
	if twice || depth == maxDepth || !p.whole {
		w.damage(int64(id))
	}
	if twice || depth == maxDepth {
		return
	}
	w.seen[id] = struct{}{}
	for _, e := range p.elements {
		w.descend(e.child, e.key, depth+1)
	}
}

// nearly finds the page that begins with a key, and whose number differs by one
// bit from the one that the page above it says; else it returns what it is given.
// Where that one is damaged itself, its number is right, and what is like it is
// an older state of it.
func (w *walking) nearly(id uint64, key []byte, p page) (uint64, page) {
	if !p.whole && id < uint64(w.size/w.pageSize) {
		return id, p
	}
	for bit := range 64 {
		other := id ^ 1<<bit
		if q := w.page(other); q.whole && q.begins(key) {
			return other, q
		}
	}
	return id, p
}

func (w *walking) visitPage(p page, id int64) {
	if !p.whole || p.kind != leafPage {
		w.damage(id)
	}
	if len(p.elements) > 0 && bytes.Compare(w.last, p.elements[0].key) >= 0 {
		w.damage(id)
	}
	for _, e := range p.elements {
		w.last = append(w.last[:0], e.key...)
		w.visit(e)
	}
}

// damage notes a page that is not as it should be.
func (w *walking) damage(id int64) {
	w.damaged[id] = struct{}{}
	w.whole = false
}
