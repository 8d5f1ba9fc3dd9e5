package boltqueue

import (
	"bytes"
	"strings"

	"go.etcd.io/bbolt"
)

// indexDelivered, with an upstream's name behind it or none for all, stands
// among the indexes for the blocks, which are found by no bucket of their own.
const indexDelivered = "delivered/"

func deliveredIndex(index string) (upstream string, ok bool) {
	return strings.CutPrefix(index, indexDelivered)
}

// A deliveredSource tells by blocks where there are events that have been
// delivered. A block is one step, and in one that is unknown each event.
type deliveredSource struct {
	upstream string // "" is any
	events   everything
	blocks   *bbolt.Cursor // nil where there are none
	at       uint64        // the block at which its cursor stands, where stands is true
	stands   bool

	looked bool // whether the following are of a block
	block  uint64
	known  bool
	places places
}

func newDeliveredSource(tx *bbolt.Tx, upstream string) *deliveredSource {
	s := &deliveredSource{upstream: upstream, events: everything{cur: tx.Bucket([]byte(bucketEvents)).Cursor()}}
	if b := tx.Bucket([]byte(bucketDelivered)); b != nil {
		s.blocks = b.Cursor()
	}
	return s
}

func (s *deliveredSource) next(below uint64) (seq uint64, found bool) {
	if below == 0 {
		return 0, false
	}
	n := blockOf(below - 1)
	if !s.looked || s.block != n {
		s.look(n)
	}
	if !s.known {
		seq, found = s.events.next(below)
		if found && blockOf(seq) != n {
			return seq + 1, false // of the blocks between there is no event
		}
		return seq, found
	}
	if i := s.places.last(int((below - 1) % blockSize)); i >= 0 {
		return blockBegin(n) + uint64(i), true // not negative
	}
	return blockBegin(n), false
}

// look looks at a block. One whose page cannot be read is unknown.
func (s *deliveredSource) look(n uint64) {
	s.looked, s.block, s.known = true, n, false
	if s.blocks == nil {
		return
	}
	var damaged error // known tells
	defer guard(&damaged, "reading a block", "")
	key := blockKey(n)
	var k, v []byte
	stood := s.stands && s.at == n+1
	s.stands = false
	if stood {
		k, v = s.blocks.Prev()
	} else {
		k, v = s.blocks.Seek(key)
	}
	if !bytes.Equal(k, key) {
		return
	}
	s.at, s.stands = n, true
	s.places = places{}
	s.known = decodeDelivered(key, v, func(upstream []byte, p places) {
		if s.upstream == "" || s.upstream == string(upstream) {
			s.places.add(&p)
		}
	})
}
