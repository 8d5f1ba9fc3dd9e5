package boltqueue

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func decodedDelivered(key, b []byte) (l delivered, ok bool) {
	ok = decodeDelivered(key, b, func(upstream []byte, p places) {
		l = append(l, deliveredTo{upstream: string(upstream), places: p})
	})
	return l, ok
}

func TestDeliveredRoundTrip(t *testing.T) {
	t.Parallel()
	key := blockKey(7)
	var all delivered
	for name, list := range somePlaces() {
		all = append(all, deliveredTo{upstream: name, places: placesOf(list)})
	}
	slices.SortFunc(all, func(a, b deliveredTo) int { return strings.Compare(a.upstream, b.upstream) })
	for name, want := range map[string]delivered{
		"to nobody": nil,
		"to one":    {{upstream: "ehr", places: placesOf([]uint64{3})}},
		"to many":   all,
	} {
		b := want.coded(key)
		if got, ok := decodedDelivered(key, b); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: decoded %+v, %t; want %+v", name, got, ok, want)
		}
		if _, ok := decodedDelivered(blockKey(8), b); ok {
			t.Errorf("%s: it is read in the place of another block", name)
		}
		for i := range b {
			if _, ok := decodedDelivered(key, b[:i]); ok {
				t.Errorf("%s: cut at %d of %d bytes it is read", name, i, len(b))
			}
			for bit := range 8 {
				b[i] ^= 1 << bit
				if _, ok := decodedDelivered(key, b); ok {
					t.Errorf("%s: with a flipped bit at %d it is read", name, i)
				}
				b[i] ^= 1 << bit
			}
		}
	}

	none := delivered{{upstream: "audit"}, {upstream: "ehr", places: placesOf([]uint64{3})}}
	if got, _ := decodedDelivered(key, none.coded(key)); len(got) != 1 {
		t.Errorf("an upstream without places is told of: %+v", got)
	}
	if _, ok := decodedDelivered(key, nil); ok {
		t.Error("what is not there is read")
	}
}

// Whoever looks through all pages of a file must not take a block for anything
// that is told of an event.
func TestDeliveredIsNoEvents(t *testing.T) {
	t.Parallel()
	padded := 0
	for block := range uint64(3) {
		key := blockKey(block << 20)
		if parseSeq(key) != 0 || len(key) == entrySize {
			t.Fatalf("the key %x could be an event's", key)
		}
		for length := 1; length < 12; length++ {
			for name, list := range somePlaces() {
				l := delivered{{upstream: strings.Repeat("u", length), places: placesOf(list)}}
				b := l.coded(key)
				if len(b) == entrySize {
					t.Errorf("%s, for a name of %d bytes, has the length of an id's entry", name, length)
				}
				if b[len(b)-5] == 0 && len(b) == entrySize+1 {
					padded++
				}
				if got, ok := decodedDelivered(key, b); !ok || !reflect.DeepEqual(got, l) {
					t.Errorf("%s: decoded %+v, %t; want %+v", name, got, ok, l)
				}
			}
		}
	}
	if padded == 0 {
		t.Error("none would have had that length")
	}
}

// FuzzDelivered checks that whatever has the right checksum is refused, or is
// what encoding makes of it again.
func FuzzDelivered(f *testing.F) {
	key := blockKey(7)
	for _, list := range somePlaces() {
		l := delivered{{upstream: "audit", places: placesOf(list)}, {upstream: "ehr", places: placesOf(list[:1])}}
		b := l.coded(key)
		f.Add(b[:len(b)-4])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := decodedDelivered(key, binary.BigEndian.AppendUint32(bytes.Clone(b), checksum(key, b)))
		if !ok {
			return
		}
		want := slices.DeleteFunc(slices.Clone(got), func(d deliveredTo) bool { return d.places.empty() })
		if again, ok := decodedDelivered(key, got.coded(key)); !ok || !slices.Equal(again, want) {
			t.Fatalf("%x decodes to %+v, which comes back as %+v", b, got, again)
		}
	})
}
