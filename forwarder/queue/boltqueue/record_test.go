package boltqueue

import (
	"bytes"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func sampleRecords() map[string]*record {
	return map[string]*record{
		"for nobody": {id: "a", provider: "soniox", typ: "transcription.error", receivedAt: 1, endedAt: 2, deliveries: []delivery{}},
		"quarantined": {
			id: "b", provider: "soapnoteapi", typ: "other", receivedAt: math.MaxInt64, quarantined: true, reason: "event is missing",
			payload: true, size: 1 << 40, key: fingerprint{1, 2, 3}, endedAt: 3, deliveries: []delivery{},
		},
		"with history": {
			id: "c", provider: "soapnoteapi", typ: "note.generated", receivedAt: 1773934200000000000,
			payload: true, size: 1700, key: fingerprint{9, 9},
			deliveries: []delivery{
				{upstream: "ehr", state: queue.Pending, attempts: 2, used: 1, next: 1773934300000000000, history: []queue.Attempt{
					{Number: 1, At: time.Unix(1773934200, 5).UTC(), Duration: time.Second, Result: queue.ConnectError},
					{Number: 2, At: time.Unix(1773934201, 0).UTC(), Duration: time.Minute, Result: queue.Failure, Status: 500, Used: true},
				}},
				{upstream: "warehouse", state: queue.Dead, attempts: 1, used: 1, history: []queue.Attempt{{Number: 1, Result: queue.Gone, Status: 410}}},
				{upstream: "", state: queue.Delivered, history: []queue.Attempt{}},
			},
		},
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	for name, want := range sampleRecords() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := want.appendTo(nil)
			got, err := decodeRecord(b)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("decoded %+v, %v; want %+v", got, err, want)
			}
			for i := range b {
				if _, err := decodeRecord(b[:i]); err == nil {
					t.Errorf("a record cut at %d of %d bytes is read", i, len(b))
				}
			}
			if _, err := decodeRecord(append(b, 0)); err == nil {
				t.Error("a record with a byte too many is read")
			}
		})
	}
}

func TestRecordRefused(t *testing.T) {
	t.Parallel()
	head := []byte{recordVersion, 1, 'a', 0, 0, 1, 0}
	if _, err := decodeRecord(append(head, 0, 0)); err != nil {
		t.Fatalf("the record that the others differ from is refused: %v", err)
	}
	for name, b := range map[string][]byte{
		"nothing":                   {},
		"another version":           append([]byte{2}, append(head, 0, 0)[1:]...),
		"version 0":                 append([]byte{0}, append(head, 0, 0)[1:]...),
		"an unknown flag":           {recordVersion, 1, 'a', 0, 0, 1, 8, 0, 0},
		"a reason of nothing":       {recordVersion, 1, 'a', 0, 0, 1, 4, 0, 0, 0},
		"a number not in its short": append(head, 0x80, 0, 0),
		"a number too large":        append(head, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0),
		"a list longer than it all": append(head, 0, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"an unknown state":          append(head, 0, 1, 0, 3, 0, 0, 0, 0),
		"an unknown result":         append(head, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 6, 1),
		"an unknown unused result":  append(head, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0x86, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if r, err := decodeRecord(b); err == nil {
				t.Fatalf("decoded %+v, want an error", r)
			}
		})
	}
}

func TestNanos(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   time.Time
		want int64
	}{
		"none":               {time.Time{}, 0},
		"before the range":   {time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), 1},
		"beyond the range":   {time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), math.MaxInt64},
		"a day like another": {time.Unix(1773934200, 7), 1773934200000000007},
	} {
		if got := nanos(c.in); got != c.want {
			t.Errorf("%s: nanos is %d, want %d", name, got, c.want)
		}
		if got := nanos(at(c.want)); got != c.want {
			t.Errorf("%s: it comes back as %d, want %d", name, got, c.want)
		}
	}
}

// FuzzRecord checks that what decodes is what encoding makes of it again.
func FuzzRecord(f *testing.F) {
	for _, r := range sampleRecords() {
		f.Add(r.appendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if again := r.appendTo(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", b, r, again)
		}
		r.told()
	})
}
