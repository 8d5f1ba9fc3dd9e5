package boltqueue

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The coding of a record: a version byte, then numbers as uvarints and strings
// as a length and their bytes, in the order of appendTo. A record has one
// coding only: what decodes encodes to the same bytes.
const recordVersion = 1

const (
	flagQuarantined = 1 << iota
	flagPayload
	flagReason
	flagsKnown = flagQuarantined | flagPayload | flagReason
)

// unusedBit stands beside the code of a result whose attempt does not count against
// the budget.
const unusedBit = 0x80

// The codes of states and results; append to them, never reorder.
var (
	states  = []queue.State{queue.Pending, queue.Delivered, queue.Dead}
	results = []queue.Result{"", queue.Success, queue.Failure, queue.Timeout, queue.ConnectError, queue.Gone}
)

var errRecord = errors.New("the record cannot be read")

// coded is the record in its coding.
func (r *record) coded() []byte {
	size := 64 + len(r.id) + len(r.provider) + len(r.typ)
	for i := range r.deliveries {
		d := &r.deliveries[i]
		size += 32 + len(d.upstream) + 32*len(d.history)
	}
	return r.appendTo(make([]byte, 0, size)) // which is seldom exceeded
}

func (r *record) appendTo(b []byte) []byte {
	b = append(b, recordVersion)
	b = appendText(b, r.id)
	b = appendText(b, r.provider)
	b = appendText(b, r.typ)
	b = appendNumber(b, r.receivedAt)
	var flags byte
	if r.quarantined {
		flags |= flagQuarantined
	}
	if r.payload {
		flags |= flagPayload
	}
	if r.reason != "" {
		flags |= flagReason
	}
	b = append(b, flags)
	if r.reason != "" {
		b = appendText(b, r.reason)
	}
	if r.payload {
		b = appendNumber(b, r.size)
		b = append(b, r.key[:]...)
	}
	b = appendNumber(b, r.endedAt)
	b = appendNumber(b, int64(len(r.deliveries)))
	for i := range r.deliveries {
		d := &r.deliveries[i]
		b = appendText(b, d.upstream)
		b = append(b, byte(slices.Index(states, d.state))) // below len(states)
		b = appendNumber(b, int64(d.attempts))
		b = appendNumber(b, int64(d.used))
		b = appendNumber(b, d.next)
		b = appendNumber(b, int64(len(d.history)))
		for _, a := range d.history {
			b = appendNumber(b, int64(a.Number))
			b = appendNumber(b, nanos(a.At))
			b = appendNumber(b, int64(a.Duration))
			b = append(b, resultOctet(a))
			b = appendNumber(b, int64(a.Status))
		}
	}
	return b
}

// resultOctet is an attempt's result, and whether it counts against the budget.
func resultOctet(a queue.Attempt) byte {
	code := byte(max(0, slices.Index(results, a.Result))) // below len(results)
	if !a.Used {
		code |= unusedBit
	}
	return code
}

func appendText(b []byte, s string) []byte {
	return append(appendNumber(b, int64(len(s))), s...)
}

// appendNumber appends a number that is never negative.
func appendNumber(b []byte, n int64) []byte {
	return binary.AppendUvarint(b, uint64(max(0, n))) // not negative
}

// decodeRecord reads a record. It keeps nothing of b.
func decodeRecord(b []byte) (*record, error) {
	d := decoder{rest: b}
	if d.octet(recordVersion) != recordVersion {
		return nil, errRecord
	}
	r := &record{id: d.text(), provider: d.text(), typ: d.text(), receivedAt: d.number()}
	flags := d.octet(flagsKnown)
	r.quarantined = flags&flagQuarantined != 0
	r.payload = flags&flagPayload != 0
	if flags&flagReason != 0 {
		if r.reason = d.text(); r.reason == "" {
			d.fail() // one without a reason has no flag
		}
	}
	if r.payload {
		r.size = d.number()
		copy(r.key[:], d.take(int64(len(r.key))))
	}
	r.endedAt = d.number()
	r.deliveries = make([]delivery, d.count(6)) // the least bytes that one takes
	for i := range r.deliveries {
		v := &r.deliveries[i]
		v.upstream = d.text()
		v.state = states[d.octet(byte(len(states)-1))]
		v.attempts = int(d.number())
		v.used = int(d.number())
		v.next = d.number()
		v.history = make([]queue.Attempt, d.count(5))
		for j := range v.history {
			a := queue.Attempt{Number: int(d.number()), At: at(d.number()), Duration: time.Duration(d.number())}
			a.Result, a.Used = d.result()
			a.Status = int(d.number())
			v.history[j] = a
		}
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errRecord
	}
	return r, nil
}

// A decoder reads from the front of rest. After a fault it reads zeros and bad
// is set.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) fail() {
	d.bad, d.rest = true, nil
}

func (d *decoder) take(n int64) []byte {
	if n > int64(len(d.rest)) {
		d.fail()
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) text() string { return string(d.take(d.number())) }

// octet reads a byte of at most limit.
func (d *decoder) octet(limit byte) byte {
	b := d.take(1)
	if len(b) == 0 {
		return 0
	}
	if b[0] > limit {
		d.fail()
		return 0
	}
	return b[0]
}

// result reads what resultOctet made.
func (d *decoder) result() (r queue.Result, used bool) {
	b := d.octet(math.MaxUint8)
	code := int(b &^ unusedBit)
	if code >= len(results) {
		d.fail()
		return "", false
	}
	return results[code], b&unusedBit == 0
}

// number reads a uvarint in its shortest form, up to the largest int64.
func (d *decoder) number() int64 {
	n, size := binary.Uvarint(d.rest)
	if size <= 0 || n > math.MaxInt64 || (size > 1 && d.rest[size-1] == 0) {
		d.fail()
		return 0
	}
	d.rest = d.rest[size:]
	return int64(n)
}

// count reads the length of a list whose elements take at least size bytes
// each, so that no list is made that the bytes cannot fill.
func (d *decoder) count(size int) int {
	n := d.number()
	if n > int64(len(d.rest)/size) {
		d.fail()
		return 0
	}
	return int(n)
}
