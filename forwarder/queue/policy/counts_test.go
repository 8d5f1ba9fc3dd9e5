package policy

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	c := make(Counts)
	events := []*Event{
		inState(0, first("a"), retry("b")), inState(0, retry("a"), dead("b")), inState(0, done("a")), inState(time.Hour, done("a")),
		setAside(queue.Unrouted), setAside(queue.Unconfirmed), setAside(queue.Quarantined), setAside(queue.Quarantined), inState(0),
		{ID: "t", SetAside: Tombstone, ReceivedAt: received},
	}
	for _, e := range events {
		c.Add(e, 1)
	}
	want := queue.Stats{Bytes: 800, Quarantined: 2, Unrouted: 1, Unconfirmed: 1, Upstreams: map[string]queue.UpstreamStats{"a": {Pending: 2}, "b": {Pending: 1, Dead: 1}}, Stages: map[string]queue.UpstreamStats{}}
	if got := c.Stats(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if c.Bytes() != 800 || !maps.Equal(c.Keys(), map[seal.Fingerprint]int64{aKey: 8}) {
		t.Errorf("%d bytes, keys %v", c.Bytes(), c.Keys())
	}
	for name, n := range map[Counter]int64{{CountFirst, "a"}: 1, {CountRetry, "a"}: 1, {CountRetry, "b"}: 1, {CountDead, "b"}: 1, {CountFirst, "b"}: 0} {
		if c[name] != n {
			t.Errorf("%v: %d, want %d", name, c[name], n)
		}
	}
	for _, e := range events {
		c.Add(e, -1)
	}
	if len(c) != 0 {
		t.Errorf("counts without events: %v", c)
	}
}

func TestCountsPlus(t *testing.T) {
	t.Parallel()
	x, y := Counter{CountFirst, "a"}, Counter{CountDead, "b"}
	c, change := Counts{x: 2, y: 1}, Counts{x: 1, y: -1}
	if got := c.Plus(change); !maps.Equal(got, Counts{x: 3}) {
		t.Errorf("%v", got)
	}
	if !maps.Equal(c, Counts{x: 2, y: 1}) || !maps.Equal(change, Counts{x: 1, y: -1}) {
		t.Errorf("Plus changed its operands: %v, %v", c, change)
	}
	if got := Counts(nil).Plus(c); !maps.Equal(got, c) {
		t.Errorf("%v", got)
	}
	if got := c.Plus(nil); !maps.Equal(got, c) {
		t.Errorf("%v", got)
	}
}

func TestCountsJSON(t *testing.T) {
	t.Parallel()
	counter := rapid.Custom(func(r *rapid.T) Counter {
		k := Counter{Kind: rapid.SampledFrom([]string{CountBytes, CountFirst, CountRetry, CountDead, CountKey, CountState}).Draw(r, "kind")}
		switch k.Kind {
		case CountBytes:
		case CountKey:
			f := rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(r, "key")
			k.Name = string(f)
		default:
			k.Name = rapid.String().Draw(r, "name")
		}
		return k
	})
	rapid.Check(t, func(r *rapid.T) {
		c := Counts(rapid.MapOf(counter, rapid.Int64()).Draw(r, "counts"))
		b, err := json.Marshal(c)
		if err != nil {
			r.Fatal(err)
		}
		var got Counts
		if err := json.Unmarshal(b, &got); err != nil || !maps.Equal(got, c) {
			r.Fatalf("%v, %v, want %v", got, err, c)
		}
	})
	for _, s := range []string{`[]`, `{"first":1}`, `{"key":{"xyz":1}}`, `{"first":{"a":"b"}}`} {
		if err := json.Unmarshal([]byte(s), new(Counts)); err == nil {
			t.Errorf("%s: no error", s)
		}
	}
}

// After any sequence of changes, the incrementally kept counts equal the counts of all
// events, counted again.
func TestCountsOfAnySequence(t *testing.T) {
	t.Parallel()
	upstreams := rapid.SampledFrom([]string{"a", "b", completion, cleanup})
	rapid.Check(t, func(r *rapid.T) {
		kept := make(Counts)
		events := make(map[int]*Event)
		now := began
		for i := range rapid.IntRange(1, 60).Draw(r, "changes") {
			now += int64(rapid.SampledFrom([]time.Duration{0, time.Minute, time.Hour}).Draw(r, "time"))
			keep := rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(r, "keep")
			key := rapid.IntRange(0, 20).Draw(r, "event")
			e := events[key]
			if e == nil {
				events[key] = drawEvent(r, i, now, upstreams)
				kept.Add(events[key], 1)
				continue
			}
			after := e.Clone()
			alive := true
			selected := func(d *Delivery) bool { return rapid.Bool().Draw(r, "selected "+d.Upstream) }
			switch rapid.SampledFrom([]string{"settle", "settle", "replay", "drop", "expire", "payload", "delete"}).Draw(r, "change") {
			case "settle":
				after.Settle(&queue.Outcome{
					Delivery: queue.Delivery{EventID: e.ID, Upstream: upstreams.Draw(r, "upstream")},
					State:    rapid.SampledFrom([]queue.State{queue.Pending, queue.Delivered, queue.Dead, queue.Unconfirmed}).Draw(r, "outcome"),
					Retain:   rapid.Bool().Draw(r, "retain"),
				}, now, keep)
			case "replay":
				if e.Size > 0 {
					after.Replay(rapid.SliceOfNDistinct(upstreams, 0, 3, rapid.ID[string]).Draw(r, "route"), selected)
				}
			case "drop":
				if after.Drop(now, keep, selected); len(after.Deliveries) == 0 && after.SetAside == "" {
					alive = false
				}
			case "expire":
				alive = after.Expire(now, settings)
			case "payload":
				after.DropPayload()
			case "delete":
				alive = false
			}
			kept.Add(e, -1)
			delete(events, key)
			if alive {
				kept.Add(after, 1)
				events[key] = after
			}
		}
		anew := make(Counts)
		for _, e := range events {
			anew.Add(e, 1)
		}
		if !maps.Equal(kept, anew) {
			r.Fatalf("kept %v, counted again %v", kept, anew)
		}
	})
}

func drawEvent(r *rapid.T, i int, now int64, upstreams *rapid.Generator[string]) *Event {
	e := &Event{ID: fmt.Sprint(i), ReceivedAt: now, Size: int64(rapid.IntRange(1, 1000).Draw(r, "size")), Key: seal.Fingerprint{rapid.Byte().Draw(r, "key")}}
	if e.SetAside = rapid.SampledFrom([]queue.State{"", "", queue.Quarantined, queue.Unrouted, queue.Unconfirmed}).Draw(r, "state"); e.SetAside == "" {
		e.add(rapid.SliceOfNDistinct(upstreams, 1, 4, rapid.ID[string]).Draw(r, "upstreams"))
	}
	return e
}
