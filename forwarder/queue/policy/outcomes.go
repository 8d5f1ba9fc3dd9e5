package policy

import (
	"encoding/binary"
	"errors"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// errOutcomes means that encoded deliveries cannot be decoded.
var errOutcomes = errors.New("decoding the deliveries of a trace: they are damaged, or of a newer version")

// Over reports whether nothing is left to do for the event, and nothing but its trace is kept.
func (e *Event) Over() bool {
	if e.SetAside != "" || e.Size > 0 || e.EndedAt == 0 {
		return false
	}
	for i := range e.Deliveries {
		if e.Deliveries[i].State != queue.Delivered {
			return false
		}
	}
	return true
}

// AppendOutcomes appends the encoding of deliveries that have been made to b: for each of them
// what AppendUpstream appends, its attempts and how many of them count, as varints, and the
// length and the encoding of its history.
func AppendOutcomes(b []byte, ds []Delivery) []byte {
	for i := range ds {
		d := &ds[i]
		b = AppendUpstream(b, d.Upstream)
		b = binary.AppendUvarint(b, uint64(d.Attempts))
		b = binary.AppendUvarint(b, uint64(d.Used))
		history := AppendHistory(nil, d.History)
		b = binary.AppendUvarint(b, uint64(len(history)))
		b = append(b, history...)
	}
	return b
}

// AppendUpstream appends to b the bytes that the encoding of a delivery to the upstream begins
// with. The encoding of others may have the same bytes.
func AppendUpstream(b []byte, upstream string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(upstream))), upstream...)
}

// DecodeOutcomes decodes what AppendOutcomes has encoded.
func DecodeOutcomes(b []byte) (ds []Delivery, err error) {
	d := decoder{b: b}
	for len(d.b) > 0 && !d.failed {
		one := Delivery{Upstream: d.text(), State: queue.Delivered, Attempts: int(d.uvarint()), Used: int(d.uvarint())}
		if one.History, err = DecodeHistory(d.bytes(d.uvarint())); err != nil {
			return nil, err
		}
		ds = append(ds, one)
	}
	if d.failed {
		return nil, errOutcomes
	}
	return ds, nil
}
