package boltqueue

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// findUnstored reads the events that only the journal beside the file holds. The
// file may hold some more than it says, and where it does not say any more how far
// it has come, some may have been deleted.
func (d *reading) findUnstored() error {
	identity, done, told := d.journalState()
	entries, err := readJournal(journalPath(d.path), identity, done)
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	d.tally.Uncertain = d.tally.Uncertain || !told
	held := make(map[string]bool)
	for i := range d.spots {
		held[string(d.read(d.spots[i].id))] = true
	}
	events, _ := recall(entries)
	d.unstored = slices.DeleteFunc(events, func(e journalEntry) bool { return held[e.record.id] })
	return nil
}

// journalState tells which journal is the file's, nil for any, and how far the
// file has come in it.
func (d *reading) journalState() (identity []byte, done uint64, told bool) {
	trees, _ := d.newestTrees()
	d.walkBucket(trees, bucketMeta, func(e element) {
		if string(e.key) == journalKey {
			identity = d.bytes(e)
		}
	})
	told = d.walkBucket(trees, bucketCounts, func(e element) {
		if b := d.bytes(e); string(e.key) == countJournal && len(b) == 8 {
			done = binary.BigEndian.Uint64(b)
		}
	})
	return identity, done, told
}

// tellUnstored calls visit with the journal's events, the newest first.
func (d *reading) tellUnstored(visit func(Found) error) error {
	for _, e := range slices.Backward(d.unstored) {
		if err := d.ctx.Err(); err != nil {
			return fmt.Errorf("reading the queue file %s: %w", d.path, err)
		}
		if !matches(&e.record, queue.Filter{State: d.filter.State}) {
			continue
		}
		found := Found{Record: e.record.told()}
		if d.filter.Payloads && e.record.payload {
			var err error
			if found.Event, err = d.ring.open(e.record.id, e.sealed); err != nil {
				found.PayloadLost = true
				d.tally.Partly++
				if d.ring.ciphers[fingerprint(e.sealed)] == nil {
					d.tally.Locked++
				}
			}
		}
		if err := visit(found); err != nil {
			return err
		}
		d.tally.Events++
	}
	return nil
}
