package boltqueue

import (
	"slices"
	"strings"
)

// delivered tells which events of a block have been delivered to which upstream,
// in the order of the upstreams' names. It is how they are found, as pending and
// dead ones are by their indexes: an index would be one more key to write for
// each delivery, and this is a few bytes for a thousand of them.
//
// A block that the file does not tell of, or not so that it can be read, is
// unknown, and whoever lists events reads all that are in it. So damage hides
// none, and a file from before there were blocks is as good as any. The file
// tells of a block from its first event on or not at all.
type delivered []deliveredTo

type deliveredTo struct {
	upstream string
	places   places
}

// set notes whether an event has been delivered to an upstream, and reports
// whether that is news.
func (l *delivered) set(upstream string, seq uint64, is bool) bool {
	i, ok := slices.BinarySearchFunc(*l, upstream, func(d deliveredTo, name string) int { return strings.Compare(d.upstream, name) })
	if has := ok && (*l)[i].places.has(seq); has == is {
		return false
	}
	if !ok {
		*l = slices.Insert(*l, i, deliveredTo{upstream: upstream})
	}
	(*l)[i].places.set(seq, is)
	return true
}

// unset takes an event out, and reports whether that is news.
func (l delivered) unset(seq uint64) (changed bool) {
	for i := range l {
		if p := &l[i].places; p.has(seq) {
			p.set(seq, false)
			changed = true
		}
	}
	return changed
}
