package boltqueue

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func entryOf(number uint64, size int) (journalEntry, []byte) {
	r := record{id: fmt.Sprint("event-", number), provider: "soapnoteapi", typ: "note.generated", receivedAt: 5, deliveries: []delivery{{upstream: "ehr", state: queue.Pending}}}
	sealed := bytes.Repeat([]byte{byte(number)}, size)
	if size > 0 {
		r.payload, r.size, r.key = true, int64(size), fingerprint{1, 2, 3}
	}
	return journalEntry{number: number, record: r, sealed: sealed}, appendEntry(nil, number, &r, sealed)
}

func numbers(entries []journalEntry) (n []uint64) {
	for _, e := range entries {
		n = append(n, e.number)
	}
	return n
}

// partOf writes groups of entries, each from a block on.
func partOf(size int, groups ...[]uint64) []byte {
	part, at := make([]byte, size), 0
	for _, g := range groups {
		for _, n := range g {
			_, b := entryOf(n, 300)
			at += copy(part[at:], b)
		}
		at = int(nextBlock(int64(at)))
	}
	return part
}

func TestParsePart(t *testing.T) {
	t.Parallel()
	const size = 8 * journalBlock
	over := func(under, above []byte) []byte { return append(bytes.Clone(above), under[len(above):]...) }
	whole := partOf(size, []uint64{7, 8, 9}, []uint64{10}, []uint64{11, 12})
	tests := []struct {
		name string
		part []byte
		want []uint64
	}{
		{"nothing", make([]byte, size), nil},
		{"groups", whole, []uint64{7, 8, 9, 10, 11, 12}},
		{"written over an older one", over(whole, partOf(size, []uint64{50, 51})[:journalBlock]), []uint64{50, 51}},
		{"whose first block was not written", over(whole, make([]byte, journalBlock)), nil},
		{"whose second block is an older one's", append(partOf(size, []uint64{7})[:journalBlock:journalBlock], partOf(size, []uint64{1}, []uint64{2})[journalBlock:]...), []uint64{7}},
		{"that ends at its end", partOf(2*journalBlock, []uint64{1}, []uint64{2}), []uint64{1, 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := numbers(parsePart(tt.part)); fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("entries %v, want %v", got, tt.want)
			}
		})
	}
}

// An entry that is changed in any bit is none.
func TestChangedEntry(t *testing.T) {
	t.Parallel()
	want, b := entryOf(3, 40)
	e, size := parseEntry(append(bytes.Clone(b), 1, 2, 3))
	if e == nil || size != len(b) || fmt.Sprint(*e) != fmt.Sprint(want) {
		t.Fatalf("%+v of %d bytes, want %+v", e, size, want)
	}
	for bit := range 8 * len(b) {
		b[bit/8] ^= 1 << (bit % 8)
		if e, _ := parseEntry(b); e != nil {
			t.Errorf("with bit %d changed it is %+v", bit, e)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(b) {
		if e, _ := parseEntry(b[:n]); e != nil {
			t.Errorf("cut at %d it is %+v", n, e)
		}
	}
}

// Whatever of the last write reached the disk, in sectors and in any order, what
// was written before it is read, and of it nothing that is not whole.
func TestTornWrite(t *testing.T) {
	t.Parallel()
	const size, sector = 16 * journalBlock, 512
	older := partOf(size, []uint64{1, 2, 3}, []uint64{4}, []uint64{5, 6}, []uint64{7, 8, 9, 10})
	before := append(partOf(size, []uint64{20, 21}, []uint64{22})[:2*journalBlock:2*journalBlock], older[2*journalBlock:]...)
	after := partOf(size, []uint64{20, 21}, []uint64{22}, []uint64{23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38})
	r := rand.New(rand.NewPCG(1, 2))
	seen := make(map[int]bool)
	for range 5000 {
		torn := bytes.Clone(before)
		for at := 2 * journalBlock; at < 4*journalBlock; at += sector {
			if r.IntN(8) > 0 {
				copy(torn[at:at+sector], after[at:])
			}
		}
		got := numbers(parsePart(torn))
		if len(got) < 3 || got[0] != 20 || got[len(got)-1] != 20+uint64(len(got))-1 {
			t.Fatalf("entries %v", got)
		}
		seen[len(got)] = true
	}
	if len(seen) < 5 {
		t.Errorf("only %v different states were seen", seen)
	}
}

func FuzzParsePart(f *testing.F) {
	f.Add(partOf(2*journalBlock, []uint64{7, 8, 9}, []uint64{10}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries := parsePart(b)
		for i, e := range entries {
			if e.number != entries[0].number+uint64(i) {
				t.Fatalf("entries %v", numbers(entries))
			}
		}
	})
}
