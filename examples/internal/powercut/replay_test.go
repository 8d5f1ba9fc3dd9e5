package powercut

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/boltqueue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// A life is a recording that is made without strace: of a queue that really
// works, whose file is compared after each change with what it was before. That
// bbolt writes its pages, syncs, writes a meta page and syncs again is taken as
// known.
type life struct {
	t       *testing.T
	path    string
	queue   *boltqueue.Queue
	before  []byte
	rec     Recording
	promise Promise
}

const events = 6

func newLife(t *testing.T) *life {
	t.Helper()
	key := boltqueue.Key(bytes.Repeat([]byte{7}, len(boltqueue.Key{})))
	l := &life{t: t, path: filepath.Join(t.TempDir(), "queue.db")}
	l.promise = Promise{
		Path: "queue.db", Keys: []boltqueue.Key{key}, Hosts: map[string]string{"ehr": "a:1", "audit": "a:2"},
		Upstreams: make(map[string][]string), Taken: make(map[Delivery]bool),
	}
	q, err := boltqueue.Open(boltqueue.Options{Path: l.path, Keys: l.promise.Keys, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	l.queue = q
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}()
	l.op(Op{Kind: Name, File: 1, Name: "queue.db"})
	l.written()
	l.sync(ofNames)
	for n := range events {
		id := fmt.Sprintf("event-%d", n)
		l.promise.Upstreams[id] = []string{"ehr", "audit"}
		if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: l.promise.Upstreams[id]}); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Stats(); err != nil { // by then it is in the file, of which this is a life
			t.Fatal(err)
		}
		l.written()
		l.rec.Answers = append(l.rec.Answers, Answer{ID: id, At: l.now()})
		if n%2 == 0 {
			l.deliver(id, "audit")
		}
		if n%3 == 0 {
			l.deliver(id, "ehr")
		}
	}
	return l
}

func (l *life) now() int {
	l.rec.Length++
	return l.rec.Length
}

func (l *life) op(o Op) {
	o.Start = l.now()
	o.End = o.Start
	l.rec.Ops = append(l.rec.Ops, o)
}

// The syncs of a life are called by what they are for.
const (
	ofNames = "names"
	ofSize  = "size"
	ofData  = "data"
	ofMeta  = "meta"
)

func (l *life) sync(what string) {
	file := 1
	if what == ofNames {
		file = 0
	}
	l.rec.Syncs = append(l.rec.Syncs, Sync{Call: what, File: file, Start: l.now(), End: l.now()})
}

// written enters what has changed in the file.
func (l *life) written() {
	l.t.Helper()
	after, err := os.ReadFile(l.path)
	if err != nil {
		l.t.Fatal(err)
	}
	page := os.Getpagesize()
	if len(after) != len(l.before) {
		l.op(Op{Kind: Truncate, File: 1, Size: int64(len(after))})
		l.sync(ofSize)
	}
	enter := func(from, to int, what string) {
		for at := from; at < to; at += page {
			if b := after[at : at+page]; at >= len(l.before) && len(bytes.Trim(b, "\x00")) > 0 || at < len(l.before) && !bytes.Equal(b, l.before[at:at+page]) {
				l.op(Op{Kind: Write, File: 1, Offset: int64(at), Data: bytes.Clone(b)})
			}
		}
		l.sync(what)
	}
	enter(2*page, len(after), ofData)
	enter(0, 2*page, ofMeta)
	l.before = after
}

func (l *life) deliver(id, upstream string) {
	l.t.Helper()
	l.rec.Requests = append(l.rec.Requests, Request{Host: l.promise.Hosts[upstream], ID: id, At: l.now()})
	l.promise.Taken[Delivery{upstream, id}] = true
	c, err := l.queue.Claim(upstream, time.Now(), queue.Want{First: 100})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, d := range c.Deliveries {
		if d.EventID == id {
			l.queue.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success})
			continue
		}
		l.queue.Release(d)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			l.t.Fatal("the outcome was not settled")
		}
		s, err := l.queue.Stats()
		if err != nil {
			l.t.Fatal(err)
		}
		if s.Upstreams[upstream].InFlight == 0 {
			break
		}
	}
	l.written()
}

func (l *life) replay(cuts []Cut, counts func(Sync) bool) Result {
	l.t.Helper()
	found, err := Replay(l.t.Context(), &l.rec, &l.promise, cuts, counts, l.t.TempDir())
	if err != nil {
		l.t.Fatal(err)
	}
	return found
}

// from are the cuts from a moment on: bbolt makes the beginning of a file in ways
// that this recording does not have.
func (l *life) from(at int, n int) []Cut {
	var cuts []Cut
	for _, c := range l.rec.Exhaust(n, random(1)) {
		if c.At >= at {
			cuts = append(cuts, c)
		}
	}
	return cuts
}

func TestReplayFindsNothing(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	cuts := l.from(l.rec.Answers[0].At, 2)
	found := l.replay(cuts, nil)
	if found.Failed != 0 || found.Lost != 0 || found.Cuts != len(cuts) || found.Slowest <= 0 {
		t.Errorf("of %d cuts %d failed and %d events were lost: %s", found.Cuts, found.Failed, found.Lost, strings.Join(found.Reports, "\n"))
	}
}

// Each of these is something that a disk, or the queue, must not do. A replay
// that does not see it is worth nothing. Where a cut may do harm in several ways,
// which of them comes first is a matter of what the pages held before.
func TestReplayFinds(t *testing.T) {
	t.Parallel()
	without := func(what ...string) func(Sync) bool {
		return func(s Sync) bool { return !slices.Contains(what, s.Call) }
	}
	tests := map[string]struct {
		spoil  func(l *life)
		counts func(Sync) bool
		says   []string // one of these
	}{
		"a disk that syncs nothing": {
			counts: without(ofNames, ofSize, ofData, ofMeta),
			says:   []string{"was acknowledged and is gone"},
		},
		"data that is not synced before the meta page": {
			counts: without(ofData),
			says:   []string{"the database is not sound", "was acknowledged and is gone", "cannot be opened"},
		},
		"a meta page that is not synced": {
			counts: without(ofMeta), says: []string{"was acknowledged and is gone"},
		},
		"an answer before the last sync": {
			spoil: func(l *life) {
				for i := range l.rec.Answers {
					l.rec.Answers[i].At -= 2
				}
			},
			says: []string{"was acknowledged and is gone"},
		},
		"a name that is not synced": {
			counts: without(ofNames),
			says:   []string{"was acknowledged and is gone"},
		},
		"an event that is delivered before it is sent": {
			spoil: func(l *life) {
				for i := range l.rec.Requests {
					l.rec.Requests[i].At = l.rec.Length
				}
			},
			says: []string{"is said to be delivered"},
		},
		"an event that is not for whom it should be": {
			spoil: func(l *life) { l.promise.Upstreams["event-1"] = []string{"ehr"} },
			says:  []string{"has 2 deliveries, and 1 upstreams"},
		},
		"a key that is lost": {
			spoil: func(l *life) { l.promise.Keys = []boltqueue.Key{{9}} },
			says:  []string{"sealed with a key that is not among those given"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLife(t)
			if tt.spoil != nil {
				tt.spoil(l)
			}
			cuts := l.from(l.rec.Answers[0].At, 2)
			found := l.replay(cuts, tt.counts)
			reports := strings.Join(found.Reports, "\n")
			if found.Failed == 0 || !slices.ContainsFunc(tt.says, func(s string) bool { return strings.Contains(reports, s) }) {
				t.Errorf("of %d cuts %d failed, %d events were lost, and nothing says any of %q:\n%s", found.Cuts, found.Failed, found.Lost, tt.says, reports)
			}
			if found.Failed > maxFailures+16 {
				t.Errorf("%d cuts failed, and it went on", found.Failed)
			}
		})
	}
}

func TestReplayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Replay(ctx, &l.rec, &l.promise, l.rec.Exhaust(1, random(1)), nil, t.TempDir()); err == nil {
		t.Error("Replay() = nil, though its context has ended")
	}
}
