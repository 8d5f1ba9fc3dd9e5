package policy

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var settings = queue.Settings{DedupeWindow: time.Hour, DeadRetention: 14 * time.Hour, HistoryRetention: 72 * time.Hour}

func TestRetention(t *testing.T) {
	t.Parallel()
	keeping := settings
	keeping.KeepDelivered = 100 * time.Hour
	for _, c := range []struct {
		state    queue.State
		settings queue.Settings
		want     time.Duration
	}{
		{queue.Delivered, settings, 72 * time.Hour},
		{queue.Delivered, keeping, 100 * time.Hour},
		{queue.Dead, keeping, 14 * time.Hour},
		{queue.Quarantined, settings, 14 * time.Hour},
		{queue.Unrouted, settings, 14 * time.Hour},
		{queue.Unconfirmed, settings, 14 * time.Hour},
		{Tombstone, settings, time.Hour},
	} {
		if got := Retention(c.state, c.settings); got != c.want {
			t.Errorf("%s: %v, want %v", c.state, got, c.want)
		}
	}
}

// A stored event is a duplicate. A delivered event and a tombstone are duplicates within
// the dedupe window only.
func TestDuplicate(t *testing.T) {
	t.Parallel()
	window := int64(settings.DedupeWindow)
	for name, c := range map[string]struct {
		event  *Event
		always bool
	}{
		"first":             {inState(0, first("a")), true},
		"retry":             {inState(0, done("b"), retry("a")), true},
		"dead":              {inState(0, done("b"), dead("a")), true},
		"unrouted":          {setAside(queue.Unrouted), true},
		"unconfirmed":       {setAside(queue.Unconfirmed), true},
		"quarantined":       {setAside(queue.Quarantined), true},
		"done":              {inState(0, done("a")), false},
		"kept":              {inState(time.Hour, done("a")), false},
		"without upstreams": {inState(0), false},
		"tombstone":         {setAside(Tombstone), false},
	} {
		for at, within := range map[int64]bool{-int64(time.Hour): true, 0: true, window - 1: true, window: false, window + 1: false, 1000 * window: false} {
			if got := c.event.Duplicate(received+at, settings); got != (c.always || within) {
				t.Errorf("%s, %v after receipt: %t", name, time.Duration(at), got)
			}
		}
	}
	none := settings
	none.DedupeWindow = 0
	if inState(0, done("a")).Duplicate(received, none) {
		t.Error("a duplicate although the window is 0")
	}
}

// An expired event becomes a tombstone until the end of the dedupe window: the same
// limit as that of Duplicate.
func TestExpire(t *testing.T) {
	t.Parallel()
	window := int64(settings.DedupeWindow)
	for name, event := range map[string]func() *Event{
		"done":              func() *Event { return inState(0, done("a"), done("b")) },
		"kept":              func() *Event { return inState(time.Hour, done("a")) },
		"dead":              func() *Event { return inState(0, dead("a")) },
		"without upstreams": func() *Event { return inState(0) },
		"quarantined":       func() *Event { return setAside(queue.Quarantined) },
	} {
		e := event()
		if !e.Expire(received+window-1, settings) {
			t.Errorf("%s: Expire left no tombstone", name)
		}
		if want := (&Event{ID: "a", Provider: "soapnoteapi", ReceivedAt: received, SetAside: Tombstone, EndedAt: received}); !reflect.DeepEqual(e, want) {
			t.Errorf("%s: %+v", name, e)
		}
		if !e.Duplicate(received+window-1, settings) || e.Duplicate(received+window, settings) {
			t.Errorf("%s: the tombstone is not a duplicate until exactly the end of the window", name)
		}
		if e.Expire(received+window-1, settings) {
			t.Errorf("%s: Expire of a tombstone left another", name)
		}
		if e := event(); e.Expire(received+window, settings) || !reflect.DeepEqual(e, event()) {
			t.Errorf("%s: after the window the event is %+v", name, e)
		}
	}
	old := &Event{ID: "a", Deliveries: []Delivery{done("a")}} // received before 1970
	if old.Expire(received, settings) || !old.Expire(1, settings) || old.EndedAt != 1 {
		t.Errorf("%+v", old)
	}
}

func TestNanos(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		t    time.Time
		want int64
	}{
		{time.Time{}, 0},
		{time.Unix(0, 0), 1},
		{time.Unix(-1, 0), 1},
		{time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), 1},
		{time.Unix(0, 1), 1},
		{time.Unix(0, received), received},
		{time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), math.MaxInt64},
	} {
		if got := Nanos(c.t); got != c.want {
			t.Errorf("%v: %d, want %d", c.t, got, c.want)
		}
	}
	if !Time(0).IsZero() || !Time(received).Equal(time.Unix(0, received)) || fmt.Sprint(Time(received).Location()) != "UTC" {
		t.Errorf("%v, %v", Time(0), Time(received))
	}
}
