package boltqueue

import (
	"encoding/binary"
	"slices"
)

// maxCopies is how many copies of a payload are tried.
const maxCopies = 16

// suspicious reports whether something seems to have lost its place.
func (d *reading) suspicious() bool {
	if !d.wholeEvents || (d.filter.Payloads && !d.wholePayloads) {
		return true
	}
	return slices.ContainsFunc(d.spots, spot.halved)
}

// halved reports whether only one of the two tells of the event that should.
func (s spot) halved() bool { return s.id.size == 0 || s.record.size == 0 }

// salvage looks through the whole file for what no page leads to. A record is
// known by the id that it holds, which has an entry; where there are several of
// one event, which were written one after the other, the latest is taken. A
// payload is looked for where the record in its place says that there is one, and
// where no id is known, a record where a payload is. So nothing comes back that
// was deleted.
func (d *reading) salvage() {
	d.join()
	for i := range d.spots {
		s := &d.spots[i]
		r := d.decode(s.record)
		if r == nil && s.id.size > 0 {
			d.records[string(d.read(s.id))] = nil
		} else if r == nil {
			d.nameless[s.seq] = nil
		}
		if d.filter.Payloads && r != nil && r.payload && !d.opens(s.payload) {
			d.payloads[s.seq] = nil
		}
	}
	if len(d.records)+len(d.nameless)+len(d.payloads) == 0 {
		return
	}
	d.eachPage(func(elements []element) {
		for _, e := range elements {
			if len(e.key) == 8 {
				d.pick(e)
			}
		}
	})
}

// join puts together what stands under two places in the order of arrival since
// one of the two is damaged: a record whose place no id's entry tells, and the
// entry of its id whose place has no record.
func (d *reading) join() {
	if len(d.names) > 0 {
		for i := range d.spots {
			s := &d.spots[i]
			if r := d.decode(s.record); r != nil {
				if named, ok := d.names[r.id]; ok {
					s.id, s.receivedAt = named.id, named.receivedAt
				}
			}
		}
	}
	entries := make(map[string]*spot)
	whole := make(map[string]bool)
	for i := range d.spots {
		s := &d.spots[i]
		if s.id.size == 0 {
			continue
		}
		if id, r := string(d.read(s.id)), d.decode(s.record); r == nil {
			entries[id] = s
		} else if r.id == id {
			whole[id] = true
		}
	}
	for id, s := range entries {
		if whole[id] && s.record.size == 0 {
			s.seq = 0 // the id stands in two lists, and in one of them with a place that is not its own
			delete(entries, id)
		}
	}
	for i := range d.spots {
		s := &d.spots[i]
		if s.id.size > 0 {
			continue
		}
		r := d.decode(s.record)
		var e *spot
		if r != nil {
			e = entries[r.id]
		}
		switch {
		case e != nil:
			e.record, s.seq = s.record, 0
			if e.payload.size == 0 {
				e.payload = s.payload
			}
		case d.wholeIDs && !d.wholeEvents:
			s.seq = 0 // of an event that was deleted, or no event's
		}
	}
	d.spots = slices.DeleteFunc(d.spots, func(s spot) bool {
		// Where all records are there, an entry of a damaged list that has none is
		// of an event that was deleted: the list leads to an older page of itself.
		return s.seq == 0 || (d.wholeEvents && !d.wholeIDs && s.record.size == 0)
	})
	if d.wholeIDs && d.wholeEvents && slices.ContainsFunc(d.spots, spot.halved) {
		d.tally.Uncertain = true // one of the two is an older state of itself
	}
}

// pick takes an element if it is one that is wanted.
func (d *reading) pick(e element) {
	seq := parseSeq(e.key)
	copies, wanted := d.payloads[seq]
	if wanted && int(e.value.size) > sealedHeader && len(copies) < maxCopies {
		d.payloads[seq] = append(copies, e.value)
	}
	if len(d.records)+len(d.nameless) == 0 || (len(e.near) > 0 && e.near[0] != recordVersion) {
		return
	}
	r := d.decode(e.value)
	if r == nil {
		return
	}
	if before, wanted := d.records[r.id]; wanted && (before == nil || r.after(before)) {
		d.records[r.id] = r
	}
	if before, wanted := d.nameless[seq]; wanted && (before == nil || r.after(before)) {
		d.nameless[seq] = r
	}
}

// after reports whether the record is likely to be a later state of its event.
func (r *record) after(s *record) bool {
	attempts := func(r *record) (n int) {
		for i := range r.deliveries {
			n += len(r.deliveries[i].history)
		}
		return n
	}
	if a, b := attempts(r), attempts(s); a != b {
		return a > b
	}
	return r.endedAt > s.endedAt
}

// eachPage calls visit with every page of the file that can be taken for a leaf,
// in use or not.
func (d *reading) eachPage(visit func(elements []element)) {
	for off := pageIDs * d.pageSize; off < d.size && d.ctx.Err() == nil; off += d.pageSize {
		b := d.read(span{off: off, size: uint32(d.pageSize)})
		if len(b) < pageHeader || binary.NativeEndian.Uint16(b[8:]) == branchPage {
			continue
		}
		if elements, _ := d.elements(b, off, d.size, true); len(elements) > 0 {
			visit(elements)
		}
	}
}

// maxRecordSize bounds what is taken for a record: the longest names and the
// fullest history of very many deliveries.
const maxRecordSize = 16 << 20

// decode reads a record, or returns nil.
func (d *reading) decode(s span) *record {
	if s.size == 0 || s.size > maxRecordSize {
		return nil
	}
	r, err := decodeRecord(d.read(s))
	if err != nil {
		return nil
	}
	return r
}
