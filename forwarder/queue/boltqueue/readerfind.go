package boltqueue

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A reading is one pass of a Reader.
type reading struct {
	*Reader

	ctx     context.Context //nolint:containedctx // it ends the pass
	filter  ReadFilter
	ring    *keyring
	tally   Tally
	damaged map[int64]struct{} // pages by their number, small buckets by where they stand

	spots []spot           // in the order of arrival
	more  map[uint64]*spot // those that the tree of events has not
	names map[string]spot  // by id: entries of one place that has several

	unstored []journalEntry // events that only the journal holds

	wholeEvents, wholePayloads, wholeIDs bool

	records  map[string]*record // by id: those found outside of their place; nil: wanted
	nameless map[uint64]*record // by seq: likewise, where no id is known
	payloads map[uint64][]span  // by seq: likewise
}

func (r *Reader) reading(ctx context.Context) *reading {
	return &reading{
		Reader: r, ctx: ctx, damaged: make(map[int64]struct{}), more: make(map[uint64]*spot), names: make(map[string]spot),
		records: make(map[string]*record), nameless: make(map[uint64]*record), payloads: make(map[uint64][]span),
	}
}

// A spot is where the parts of one event stand in the file.
type spot struct {
	seq        uint64
	receivedAt int64 // as the id's entry says
	id         span  // in the id's entry
	record     span
	payload    span
}

// find finds where everything stands. Every event is told of twice, by its
// record and by its id's entry, so that what one of them lost the other tells.
func (d *reading) find() {
	trees, whole := d.newestTrees()
	if whole && len(trees) == 0 {
		d.wholeEvents, d.wholePayloads, d.wholeIDs = true, true, true // a file whose making was cut short
		return
	}
	if trees[bucketEvents] == (tree{}) && trees[bucketIDs] == (tree{}) {
		d.gather()
		return
	}
	d.wholeEvents = d.walkBucket(trees, bucketEvents, func(e element) {
		if seq := parseSeq(e.key); seq != 0 {
			d.spots = append(d.spots, spot{seq: seq, record: e.value})
		}
	})
	d.order()
	strays := false
	d.wholeIDs = d.walkBucket(trees, bucketIDs, func(e element) {
		b := d.bytes(e)
		receivedAt, seq := parseTimeSeq(b)
		strays = strays || len(b) != 16
		if seq != 0 {
			d.name(d.spot(seq), span{off: e.value.off - int64(len(e.key)), size: uint32(len(e.key))}, e.key, receivedAt)
		}
	})
	recent := d.walkBucket(trees, bucketRecent, func(e element) {
		strays = !d.recent(e) || strays
	})
	d.wholeIDs = d.wholeIDs && recent && !strays
	// Of two lists of all events one is enough.
	complete := d.wholeIDs || d.wholeEvents
	d.tally.Uncertain = d.tally.Uncertain || !complete
	if d.filter.Payloads || !complete {
		d.wholePayloads = d.walkBucket(trees, bucketPayloads, func(e element) {
			if seq := parseSeq(e.key); seq != 0 {
				d.spot(seq).payload = e.value
			}
		})
	}
	for _, s := range d.more {
		if s.id.size > 0 || !complete { // else it is no event's
			d.spots = append(d.spots, *s)
		}
	}
	d.order()
}

// gather takes whatever is on any page of the file, where nothing is left that
// leads to pages: of each event the latest record. Events that were deleted may
// be among them.
func (d *reading) gather() {
	latest := make(map[uint64]*record)
	d.eachPage(func(elements []element) {
		for _, e := range elements {
			switch seq := parseSeq(e.key); {
			case d.recent(e):
			case seq != 0 && e.value.size > 0:
				r, s := d.decode(e.value), d.spot(seq)
				switch before := latest[seq]; {
				case r == nil && int(e.value.size) > sealedHeader:
					s.payload = e.value
				case r != nil && (before == nil || r.after(before)):
					s.record, latest[seq] = e.value, r
				}
			case e.value.size == 16:
				if receivedAt, seq := parseTimeSeq(d.bytes(e)); seq != 0 {
					d.name(d.spot(seq), span{off: e.value.off - int64(len(e.key)), size: uint32(len(e.key))}, e.key, receivedAt)
				}
			}
		}
	})
	for seq, s := range d.more {
		if latest[seq] != nil {
			d.spots = append(d.spots, *s)
		}
	}
	d.order()
}

// recent notes a recent id, and reports whether it is one.
func (d *reading) recent(e element) bool {
	seq, ok := parseRecentKey(e.key)
	if !ok || e.value.size <= 8 || e.value.size > maxKeySize {
		return false
	}
	b := d.bytes(e)
	if len(b) != int(e.value.size) {
		return false
	}
	d.name(d.spot(seq), span{off: e.value.off + 8, size: e.value.size - 8}, b[8:], int64(parseSeq(b[:8]))) // timeKey wrote it
	return true
}

// name notes where the id of an event stands.
func (d *reading) name(s *spot, at span, id []byte, receivedAt int64) {
	before := *s
	s.id, s.receivedAt = at, receivedAt
	if before.id.size == 0 {
		return
	}
	if told := d.read(before.id); !bytes.Equal(told, id) { // one of the two names a place that is not its own
		d.names[string(told)] = before
		d.names[string(id)] = *s
	}
}

// newestTrees reads the buckets of the newest state that can be read, and takes
// what that one lost from the state before it.
func (d *reading) newestTrees() (found map[string]tree, whole bool) {
	found = make(map[string]tree)
	if len(d.metas) < 2 {
		// What is left may be the older state.
		d.damaged[0], d.tally.Uncertain = struct{}{}, true
	}
	for i, m := range d.metas {
		trees, all := d.trees(m.root)
		for _, name := range []string{bucketMeta, bucketEvents, bucketIDs, bucketRecent, bucketPayloads} {
			mendName(trees, name)
		}
		for name, t := range trees {
			if _, ok := found[name]; ok {
				continue
			}
			found[name] = t
			d.tally.Uncertain = d.tally.Uncertain || i > 0 && (name == bucketEvents || name == bucketIDs || name == bucketRecent)
		}
		if all {
			return found, i == 0
		}
	}
	if _, ok := found[bucketEvents]; !ok {
		d.tally.Uncertain = true
		d.findRoot(found)
	}
	return found, false
}

// mendName finds a bucket one bit of whose name is flipped.
func mendName(trees map[string]tree, name string) {
	if _, ok := trees[name]; ok {
		return
	}
	b := []byte(name)
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if t, ok := trees[string(b)]; ok {
			trees[name] = t
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
}

// walkBucket walks through a bucket.
func (d *reading) walkBucket(trees map[string]tree, name string, visit func(element)) (whole bool) {
	t, ok := trees[name]
	return ok && d.walk(t, visit)
}

// order sorts the spots and leaves one of each.
func (d *reading) order() {
	slices.SortStableFunc(d.spots, func(a, b spot) int { return cmp.Compare(a.seq, b.seq) })
	d.spots = slices.CompactFunc(d.spots, func(a, b spot) bool { return a.seq == b.seq })
}

// spot returns the spot of an event. Until order has been called, it must not
// be kept.
func (d *reading) spot(seq uint64) *spot {
	i, ok := slices.BinarySearchFunc(d.spots, seq, func(s spot, seq uint64) int { return cmp.Compare(s.seq, seq) })
	if ok {
		return &d.spots[i]
	}
	s := d.more[seq]
	if s == nil {
		s = &spot{seq: seq}
		d.more[seq] = s
	}
	return s
}

// unlock makes the keyring. It is an error where none of its keys opens any of
// the payloads.
func (d *reading) unlock() error {
	keys := d.keys
	own, err := readKeyFile(keyFile(d.path))
	if err == nil {
		keys = withKey(keys, own)
	}
	d.ring = &keyring{}
	if len(keys) > 0 {
		if d.ring, err = newKeyring(keys); err != nil {
			return err
		}
	}
	n := 0
	for _, e := range d.unstored {
		if e.record.payload && d.ring.ciphers[e.record.key] != nil {
			return nil
		}
		n += min(len(e.sealed), 1)
	}
	for i := range d.spots {
		s := &d.spots[i]
		if d.opens(s.payload) {
			return nil
		}
		n += min(int(s.payload.size), 1)
	}
	switch {
	case n == 0:
		return nil
	case len(keys) == 0:
		return fmt.Errorf("reading the queue file %s: its payloads are sealed, no key is given and %s cannot be read; give the encryption_key that sealed them: %w", d.path, keyFile(d.path), queue.ErrUnreadable)
	}
	return fmt.Errorf("reading the queue file %s: its payloads are sealed with a key that is not among those given; give the encryption_key that sealed them: %w", d.path, queue.ErrUnreadable)
}

// opens reports whether a key opens what stands there, by its fingerprint.
func (d *reading) opens(payload span) bool {
	b := d.read(span{off: payload.off, size: min(payload.size, uint32(len(fingerprint{})))})
	return len(b) == len(fingerprint{}) && d.ring.ciphers[fingerprint(b)] != nil
}

// findRoot looks through the whole file for the page that holds the buckets, and
// takes the newest.
func (d *reading) findRoot(found map[string]tree) {
	var best uint64
	d.eachPage(func(elements []element) {
		trees, newest := make(map[string]tree), uint64(0)
		for _, e := range elements {
			t, sequence, ok := d.tree(e)
			if !ok {
				continue
			}
			trees[string(e.key)] = t
			if string(e.key) == bucketEvents {
				newest = sequence
			}
		}
		if newest > best {
			best = newest
			clear(found)
			maps.Copy(found, trees)
		}
	})
}
