package policy

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// errHistory means that an encoded history cannot be decoded.
var errHistory = errors.New("decoding a delivery's history: it is damaged, or of a newer version")

// withNote is the flag of an attempt that has a note.
const withNote = 1 << 6

// AppendHistory appends the encoding of a history to b: for each attempt its number,
// start, duration, result (with flags: whether it counts, whether it has a note) and
// status, as varints, and the length and the bytes of the note.
func AppendHistory(b []byte, history []queue.Attempt) []byte {
	for _, a := range history {
		b = binary.AppendUvarint(b, uint64(a.Number))
		b = binary.AppendVarint(b, Nanos(a.At))         // 0 if there is none
		b = binary.AppendVarint(b, int64(a.Duration))   // negative if the clock was set back
		result := slices.Index(queue.Results, a.Result) // -1 if there is none
		code := uint64(result+1) << 1
		if a.Used {
			code |= 1
		}
		if a.Note != "" {
			code |= withNote
		}
		b = binary.AppendUvarint(b, code)
		b = binary.AppendUvarint(b, uint64(max(0, a.Status)))
		if a.Note != "" {
			b = binary.AppendUvarint(b, uint64(len(a.Note)))
			b = append(b, a.Note...)
		}
	}
	return b
}

// DecodeHistory decodes what AppendHistory has encoded.
func DecodeHistory(b []byte) ([]queue.Attempt, error) {
	var history []queue.Attempt
	d := decoder{b: b}
	for len(d.b) > 0 && !d.failed {
		a := queue.Attempt{Number: int(d.uvarint()), At: Time(d.varint()), Duration: time.Duration(d.varint())}
		code := d.uvarint()
		a.Used = code&1 != 0
		if result := (code &^ withNote) >> 1; result > uint64(len(queue.Results)) {
			d.failed = true
		} else if result > 0 {
			a.Result = queue.Results[result-1]
		}
		a.Status = int(d.uvarint())
		if code&withNote != 0 {
			a.Note = d.text()
		}
		history = append(history, a)
	}
	if d.failed || len(history) > queue.MaxHistory {
		return nil, errHistory
	}
	return history, nil
}

// A decoder reads varints.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.skip(n)
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	d.skip(n)
	return v
}

// text reads a string that is not empty.
func (d *decoder) text() string {
	s := string(d.bytes(d.uvarint()))
	if s == "" {
		d.failed, d.b = true, nil
	}
	return s
}

// bytes reads n bytes.
func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.failed, d.b = true, nil
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) skip(n int) {
	if n <= 0 {
		d.failed, d.b = true, nil
		return
	}
	d.b = d.b[n:]
}
