package policy

import (
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// NewStore returns an item, sealed, for a writer.
func NewStore(ring *seal.Ring, it queue.Item, now int64) (*Store, error) {
	s := &Store{Item: it}
	if !KeepsPayload(it) {
		s.Event = New(it, seal.Fingerprint{}, 0, now)
		return s, nil
	}
	sealed, err := SealEvent(ring, it.Event)
	if err != nil {
		return nil, err
	}
	s.Sealed, s.Event = sealed, New(it, ring.Sealer(), int64(len(sealed)), now)
	return s, nil
}

// SealEvent returns the sealed payload of an event.
func SealEvent(ring *seal.Ring, e *event.Event) ([]byte, error) {
	coded, err := e.AppendBinary(make([]byte, seal.Header, seal.Header+e.BinarySize()+seal.Overhead))
	if err != nil {
		return nil, err
	}
	return ring.Seal(e.ID, coded)
}

// OpenEvent returns the event in a sealed payload, or queue.ErrUnreadable.
func OpenEvent(ring *seal.Ring, id string, sealed []byte) (*event.Event, error) {
	coded, err := ring.Open(id, sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", queue.ErrUnreadable, err)
	}
	e, err := event.Decode(coded)
	if err != nil {
		return nil, fmt.Errorf("opening event %s: %w: this version does not know its encoding", id, queue.ErrUnreadable)
	}
	return e, nil
}
