package boltqueue

import (
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// tell calls visit with each event, the newest first.
func (d *reading) tell(visit func(Found) error) error {
	for i := len(d.spots) - 1; i >= 0; i-- {
		if err := d.ctx.Err(); err != nil {
			return fmt.Errorf("reading the queue file %s: %w", d.path, err)
		}
		found, ok := d.event(&d.spots[i])
		if !ok {
			continue
		}
		if err := visit(found); err != nil {
			return err
		}
		d.tally.Events++
		if found.RecordLost || found.PayloadLost {
			d.tally.Partly++
		}
		if found.Displaced {
			d.tally.Displaced++
		}
	}
	return nil
}

// event puts the parts of an event together. It returns false where the event is
// none of those that are asked for, or cannot be read.
func (d *reading) event(s *spot) (found Found, ok bool) {
	id := string(d.read(s.id))
	r := d.decode(s.record)
	if r == nil {
		if r = d.nameless[s.seq]; id != "" {
			r = d.records[id]
		}
		found.Displaced = r != nil
	}
	if r == nil && (id == "" || d.filter.State != "") {
		d.tally.Lost++ // nothing tells its id, or its state
		return found, false
	}
	if r != nil && !matches(r, queue.Filter{State: d.filter.State}) {
		return found, false
	}
	if d.filter.Payloads && (r == nil || r.payload) {
		ids := []string{id}
		if r != nil {
			ids = []string{r.id, id}
		}
		found.Event = d.open(s, ids)
		// Of a record that may be an older one the payload may have been deleted
		// since.
		found.PayloadLost = found.Event == nil && (s.payload.size > 0 || (r != nil && (!found.Displaced || !d.wholePayloads)))
	}
	if r == nil {
		found.RecordLost = true
		found.Record = recordOf(id, s, found.Event)
		return found, true
	}
	if id != "" && id != r.id {
		// One of the two was damaged; the payload says which.
		found.RecordLost = true
		if found.Event != nil {
			r.id = found.Event.ID
		}
	}
	found.Record = r.told()
	return found, true
}

// recordOf makes up the record of an event that has lost it.
func recordOf(id string, s *spot, e *event.Event) queue.Record {
	r := queue.Record{ID: id, ReceivedAt: at(s.receivedAt), HasPayload: s.payload.size > 0 || e != nil}
	if e != nil {
		r.Provider, r.Type = e.Provider, e.ShortType()
	}
	return r
}

// open opens an event's payload, wherever it stands and whichever of the ids it
// belongs to, or returns nil.
func (d *reading) open(s *spot, ids []string) *event.Event {
	locked := false
	for _, at := range append([]span{s.payload}, d.payloads[s.seq]...) {
		sealed := d.read(at)
		if len(sealed) < sealedHeader {
			continue
		}
		if d.ring.ciphers[fingerprint(sealed)] == nil {
			locked = true
			continue
		}
		for _, id := range ids {
			if e, err := d.ring.open(id, sealed); err == nil {
				return e
			}
		}
	}
	if locked {
		d.tally.Locked++
	}
	return nil
}
