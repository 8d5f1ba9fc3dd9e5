package boltqueue

import (
	"encoding/binary"
	"hash/crc32"
)

// The coding of a block's deliveries: a version byte, then of each upstream its
// name and its places, then a checksum of the key and of all that. The checksum
// is there because a flipped bit would hide events, and nothing would tell.
const deliveredVersion = 1

// entrySize is the length of the value of an id's entry. A Reader that looks
// through all pages of a damaged file knows such an entry by it, so that no
// coding may have it: one that would has a byte more, an upstream with no name.
const entrySize = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (l delivered) coded(key []byte) []byte {
	b := []byte{deliveredVersion}
	for i := range l {
		if l[i].places.empty() {
			continue
		}
		b = appendText(b, l[i].upstream)
		b = l[i].places.appendTo(b)
	}
	if len(b)+crc32.Size == entrySize {
		b = append(b, 0)
	}
	return binary.BigEndian.AppendUint32(b, checksum(key, b))
}

// decodeDelivered reads what coded made, and calls visit with each upstream. It
// returns false where it is damaged.
func decodeDelivered(key, b []byte, visit func(upstream []byte, p places)) (ok bool) {
	end := len(b) - crc32.Size
	if end < 1 || b[0] != deliveredVersion || binary.BigEndian.Uint32(b[end:]) != checksum(key, b[:end]) {
		return false
	}
	d := decoder{rest: b[1:end]}
	for len(d.rest) > 0 {
		name := d.take(d.number())
		if len(name) == 0 {
			break
		}
		visit(name, d.places())
	}
	return !d.bad && len(d.rest) == 0
}

func checksum(key, b []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, b)
}
