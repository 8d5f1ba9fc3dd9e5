package policy

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	attempt := rapid.Custom(func(r *rapid.T) queue.Attempt {
		return queue.Attempt{
			Number:   rapid.IntRange(1, 1_000_000).Draw(r, "number"),
			At:       Time(rapid.Int64Range(0, 1<<62).Draw(r, "at")),
			Duration: time.Duration(rapid.Int64().Draw(r, "duration")),
			Result:   rapid.SampledFrom(append([]queue.Result{""}, queue.Results...)).Draw(r, "result"),
			Status:   rapid.IntRange(0, 999).Draw(r, "status"),
			Used:     rapid.Bool().Draw(r, "used"),
			Note:     string(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(r, "note")),
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		want := rapid.SliceOfN(attempt, 0, queue.MaxHistory).Draw(r, "history")
		before := []byte("before")
		coded := AppendHistory(before, want)
		got, err := DecodeHistory(coded[len(before):])
		if err != nil || !bytes.HasPrefix(coded, before) || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			r.Fatalf("%+v, %v, want %+v", got, err, want)
		}
	})
}

// The encoding of a history is part of a store's format and must not change.
func TestHistoryFormat(t *testing.T) {
	t.Parallel()
	h := []queue.Attempt{
		{Number: 1, At: Time(1000), Duration: 2000, Result: queue.Success, Status: 200, Used: true},
		{Number: 300, At: Time(1), Duration: -1, Result: queue.Gone},
		{Number: 2, At: Time(1), Duration: 1, Result: queue.Success, Note: "f1"},
	}
	want := []byte{1, 0xd0, 0x0f, 0xa0, 0x1f, 3, 0xc8, 1, 0xac, 2, 2, 1, 10, 0, 2, 2, 2, 0x42, 0, 2, 'f', '1'}
	if got := AppendHistory(nil, h); !bytes.Equal(got, want) {
		t.Errorf("%#v, want %#v", got, want)
	}
}

func TestDamagedHistory(t *testing.T) {
	t.Parallel()
	coded := AppendHistory(nil, attempts(1, 2))
	for name, b := range map[string][]byte{
		"cut off":           coded[:len(coded)-1],
		"an unknown result": {1, 0, 0, byte(len(queue.Results)+1) << 1, 0},
		"a long note":       {1, 0, 0, withNote, 0, 2, 'f'},
		"an empty note":     {1, 0, 0, withNote, 0, 0},
		"a long number":     bytes.Repeat([]byte{0xff}, 11),
		"too many":          AppendHistory(nil, make([]queue.Attempt, queue.MaxHistory+1)),
	} {
		if h, err := DecodeHistory(b); err == nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// DecodeHistory rejects bytes, or returns a history that survives encoding and decoding
// unchanged.
func FuzzDecodeHistory(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendHistory(nil, attempts(1, 2, 3)))
	f.Add(AppendHistory(nil, []queue.Attempt{{}}))
	f.Add([]byte{0x80, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHistory(b)
		if err != nil {
			return
		}
		if len(h) > queue.MaxHistory {
			t.Fatalf("%d attempts", len(h))
		}
		coded := AppendHistory(nil, h)
		again, err := DecodeHistory(coded)
		if err != nil || len(again) != len(h) {
			t.Fatalf("%+v, %v, want %+v", again, err, h)
		}
		if !bytes.Equal(AppendHistory(nil, again), coded) {
			t.Fatalf("%+v is encoded differently from %+v", again, h)
		}
	})
}
