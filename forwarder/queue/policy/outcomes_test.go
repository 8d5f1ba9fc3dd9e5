package policy

import (
	"bytes"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestOutcomes(t *testing.T) {
	t.Parallel()
	delivery := rapid.Custom(func(r *rapid.T) Delivery {
		return Delivery{
			Upstream: string(rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(r, "upstream")), State: queue.Delivered,
			Attempts: rapid.IntRange(0, 1_000_000).Draw(r, "attempts"), Used: rapid.IntRange(0, 100).Draw(r, "used"),
			History: attempts(rapid.SliceOfN(rapid.IntRange(1, 1000), 0, 3).Draw(r, "history")...),
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		want := rapid.SliceOfN(delivery, 0, 4).Draw(r, "deliveries")
		coded := AppendOutcomes(nil, want)
		got, err := DecodeOutcomes(coded)
		if err != nil || len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
			r.Fatalf("%+v, %v, want %+v", got, err, want)
		}
		for i := range want {
			if !bytes.Contains(coded, AppendUpstream(nil, want[i].Upstream)) {
				r.Fatalf("upstream %q is not found", want[i].Upstream)
			}
		}
		if len(coded) > 0 {
			if got, err := DecodeOutcomes(coded[:len(coded)-1]); err == nil {
				r.Fatalf("%+v, although the encoding is cut off", got)
			}
		}
	})
}

// The encoding of outcomes is part of a store's format and must not change.
func TestOutcomesFormat(t *testing.T) {
	t.Parallel()
	ds := []Delivery{{Upstream: "ehr", State: queue.Delivered, Attempts: 300, Used: 2, History: []queue.Attempt{
		{Number: 1, At: Time(1000), Duration: 2000, Result: queue.Success, Status: 200, Used: true},
	}}, {Upstream: "x", State: queue.Delivered}}
	want := []byte{3, 'e', 'h', 'r', 0xac, 2, 2, 8, 1, 0xd0, 0x0f, 0xa0, 0x1f, 3, 0xc8, 1, 1, 'x', 0, 0, 0}
	if got := AppendOutcomes(nil, ds); !bytes.Equal(got, want) {
		t.Errorf("%#v, want %#v", got, want)
	}
}
