package powercut

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A life is a recording that is made without strace: of a queue that really works,
// whose files are compared after each change with what they were before. In which
// order SQLite writes and syncs them is taken as known.
type life struct {
	t       *testing.T
	dir     string
	queue   *sqlitequeue.Queue
	files   map[string]int // their numbers, by name
	before  map[string][]byte
	rec     Recording
	promise Promise
}

const (
	events   = 6
	mainFile = "queue.db"
	walFile  = mainFile + "-wal"
)

func newLife(t *testing.T) *life {
	t.Helper()
	l := &life{t: t, dir: t.TempDir(), files: make(map[string]int), before: make(map[string][]byte)}
	l.promise = Promise{
		Path: mainFile, Keys: []seal.Key{seal.NewKey()}, Hosts: map[string]string{"ehr": "a:1", "audit": "a:2"},
		Upstreams: make(map[string][]string), Taken: make(map[Delivery]bool),
	}
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: filepath.Join(l.dir, mainFile), Keys: l.promise.Keys, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	l.queue = q
	defer func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	}()
	l.written()
	for n := range events {
		id := fmt.Sprintf("event-%d", n)
		l.promise.Upstreams[id] = []string{"ehr", "audit"}
		if _, err := q.Store(t.Context(), queue.Item{Event: sample(id), Upstreams: l.promise.Upstreams[id]}); err != nil {
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
		if n == events/2 { // the WAL goes into the main file and begins anew
			if _, err := q.Compact(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			l.written()
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

// ofNames is how the sync of the directory is called; that of a file has its name.
const ofNames = "names"

func (l *life) sync(what string) {
	l.rec.Syncs = append(l.rec.Syncs, Sync{Call: what, File: l.files[what], Start: l.now(), End: l.now()})
}

// written enters what has changed in the directory.
func (l *life) written() {
	l.t.Helper()
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	after := make(map[string][]byte)
	for _, e := range entries {
		shared := strings.HasSuffix(e.Name(), sharedSuffix)
		if l.files[e.Name()] == 0 {
			l.files[e.Name()] = len(l.files) + 1
			l.op(Op{Kind: Name, File: l.files[e.Name()], Name: e.Name(), Shared: shared})
		}
		if shared {
			continue
		}
		if after[e.Name()], err = os.ReadFile(filepath.Join(l.dir, e.Name())); err != nil {
			l.t.Fatal(err)
		}
	}
	if len(l.files) > len(entries) {
		l.t.Fatalf("of %d files %d are left: teach the life to remove names", len(l.files), len(entries))
	}
	for _, name := range l.order(after) {
		l.changed(name, l.before[name], after[name])
	}
	l.sync(ofNames)
	l.before = after
}

// order is that in which the files were written: what is in the WAL goes into the
// main file later, and a WAL begins anew when all of it is there.
func (l *life) order(after map[string][]byte) []string {
	names := slices.Sorted(maps.Keys(after))
	const header = 32
	before, now := l.before[walFile], after[walFile]
	if anew := len(before) > 0 && (len(now) < len(before) || !bytes.Equal(now[:header], before[:header])); !anew {
		slices.Reverse(names) // the WAL first
	}
	return names
}

// changed enters what has changed in a file, by sectors.
func (l *life) changed(name string, before, after []byte) {
	file, ops := l.files[name], len(l.rec.Ops)
	if len(after) < len(before) {
		l.op(Op{Kind: Truncate, File: file, Size: int64(len(after))})
	}
	for at := 0; at < len(after); {
		to := at
		for to < len(after) && !bytes.Equal(after[to:min(to+sectorSize, len(after))], before[min(to, len(before)):min(to+sectorSize, len(before))]) {
			to = min(to+sectorSize, len(after))
		}
		if to > at {
			l.op(Op{Kind: Write, File: file, Offset: int64(at), Data: bytes.Clone(after[at:to])})
		}
		at = to + sectorSize
	}
	if len(l.rec.Ops) > ops {
		l.sync(name)
	}
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

// from are the cuts from a moment on: SQLite makes the beginning of a file in ways
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
			counts: func(Sync) bool { return false },
			says:   []string{"was acknowledged and is gone"},
		},
		"a WAL that is not synced": {
			counts: without(walFile), says: []string{"was acknowledged and is gone"},
		},
		"a main file that is not synced before the WAL begins anew": {
			counts: without(mainFile),
			says:   []string{"was acknowledged and is gone", "the database is not sound", "with 4 events acknowledged"},
		},
		"an answer before the last sync": {
			spoil: func(l *life) {
				for i := range l.rec.Answers {
					l.rec.Answers[i].At -= 3 // before the WAL's and the names' were done
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
			spoil: func(l *life) { l.promise.Keys = []seal.Key{seal.NewKey()} },
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
