//go:build examples

package powercut

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// lifeEnv makes this test's binary run a queue in the directory that it names, instead of running tests.
const lifeEnv = "POWERCUT_LIFE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lifeEnv); dir != "" {
		if err := live(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	events   = 12
	mainFile = "queue.db"
	walFile  = mainFile + "-wal"
)

var (
	lifeKey = seal.Key{7}
	hosts   = map[string]string{"ehr": "a:1", "audit": "a:2"}
)

// isDelivered reports whether a delivery is made in a life.
func isDelivered(n int, upstream string) bool {
	return upstream == "audit" && n%2 == 0 || upstream == "ehr" && n%3 == 0
}

// live stores events and delivers some of them. For each it writes the answer and the request that a gateway would write.
func live(dir string) error {
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: filepath.Join(dir, mainFile), Keys: []seal.Key{lifeKey}, Settings: queue.DefaultSettings()})
	if err != nil {
		return err
	}
	for n := range events {
		id := fmt.Sprintf("event-%d", n)
		if _, err := q.Store(context.Background(), queue.Item{Event: sample(id), Upstreams: slices.Sorted(maps.Keys(hosts))}); err != nil {
			return errors.Join(err, q.Close())
		}
		fmt.Printf("HTTP/1.1 200 OK\r\n\r\n{\"received\":true,\"id\":%q}", id)
		for upstream, host := range hosts {
			if !isDelivered(n, upstream) {
				continue
			}
			fmt.Printf("POST / HTTP/1.1\r\nHost: %s\r\nWebhook-Id: %s\r\n\r\n", host, id)
			if err := deliver(q, upstream, id); err != nil {
				return errors.Join(err, q.Close())
			}
		}
		if n == events/2 {
			if _, err := q.Compact(context.Background(), nil); err != nil {
				return errors.Join(err, q.Close())
			}
		}
	}
	return q.Close()
}

// deliver delivers an event to an upstream, and waits until the queue has recorded it.
func deliver(q queue.Queue, upstream, id string) error {
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(time.Millisecond) {
		c, err := q.Claim(upstream, time.Now(), queue.Want{First: 100})
		if err != nil {
			return err
		}
		for _, d := range c.Deliveries {
			if d.EventID == id {
				q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success})
				continue
			}
			q.Release(d)
		}
		r, err := q.Event(context.Background(), id)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(r.Deliveries, func(d queue.DeliveryRecord) bool {
			return d.Upstream == upstream && d.State == queue.Delivered
		}) {
			return nil
		}
	}
	return fmt.Errorf("the delivery of %s to %s was not recorded", id, upstream)
}

// recorded returns the recording of a life with strace. Each test has a copy.
var recorded = sync.OnceValues(func() (*Recording, error) {
	strace, err := Strace()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "powercut-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left of it is in the system's temporary directory
	root, script, log := filepath.Join(dir, "disk"), filepath.Join(dir, "script"), filepath.Join(dir, "log")
	if err := errors.Join(os.Mkdir(root, 0o700), WriteWrapper(script, strace, self, log)); err != nil {
		return nil, err
	}
	cmd := exec.Command(script)
	cmd.Env = append(os.Environ(), lifeEnv+"="+root)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("recording: %w: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := WaitLog(ctx, log, cmd.Process.Pid); err != nil {
		return nil, err
	}
	f, err := os.Open(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rec, err := Read(f, root, nil)
	if err != nil {
		return nil, err
	}
	return rec, rec.Matches(root)
})

// A life is a recording with its promise.
type life struct {
	t       *testing.T
	rec     Recording
	promise Promise
}

func newLife(t *testing.T) *life {
	t.Helper()
	rec, err := recorded()
	if err != nil {
		t.Fatal(err)
	}
	if len(rec.Answers) != events {
		t.Fatalf("%d answers are recorded, want %d", len(rec.Answers), events)
	}
	l := &life{t: t, rec: *rec}
	l.rec.Answers, l.rec.Requests = slices.Clone(rec.Answers), slices.Clone(rec.Requests)
	l.promise = Promise{Path: mainFile, Keys: []seal.Key{lifeKey}, Hosts: hosts, Upstreams: make(map[string][]string), Accepted: make(map[Delivery]bool)}
	for n := range events {
		id := fmt.Sprintf("event-%d", n)
		for upstream := range hosts {
			l.promise.Upstreams[id] = append(l.promise.Upstreams[id], upstream)
			l.promise.Accepted[Delivery{upstream, id}] = isDelivered(n, upstream)
		}
	}
	return l
}

// replay replays at least n cuts at moments after from.
func (l *life) replay(number, from int, counts func(Sync) bool) Result {
	l.t.Helper()
	cuts := slices.DeleteFunc(l.rec.Sample(number, random(1)), func(c Cut) bool { return c.At < from })
	scratch, err := os.MkdirTemp(MemoryDir(l.t.TempDir()), "powercut-")
	if err != nil {
		l.t.Fatal(err)
	}
	found, err := Replay(l.t.Context(), &l.rec, &l.promise, cuts, counts, scratch)
	if err := errors.Join(err, os.RemoveAll(scratch)); err != nil {
		l.t.Fatal(err)
	}
	return found
}

func TestReplayFindsNothing(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	const number = 300
	found := l.replay(number, 0, nil)
	if found.Failed != 0 || found.Lost != 0 || found.Cuts < number || found.Slowest <= 0 {
		t.Errorf("of %d cuts %d failed and %d events were lost: %s", found.Cuts, found.Failed, found.Lost, strings.Join(found.Reports, "\n"))
	}
}

// Each case is a fault of a disk or of the queue that the replay must find. If a cut can cause several failures, the first
// one depends on the old content of the pages.
func TestReplayFinds(t *testing.T) {
	t.Parallel()
	lost := []string{"was acknowledged and is lost"}
	orWorse := append([]string{"the database is damaged", "events acknowledged", "the queue reports damage"}, lost...)
	tests := map[string]struct {
		spoil   func(l *life)
		ignores func(l *life) func(Sync) bool // reports which syncs have no effect
		says    []string                      // one of these must be in the reports
	}{
		"a disk that syncs nothing": {
			ignores: func(*life) func(Sync) bool { return func(Sync) bool { return true } }, says: orWorse,
		},
		"a WAL that is not synced": {
			ignores: func(l *life) func(Sync) bool { return l.rec.SyncsOf(walFile) }, says: orWorse,
		},
		"a main file that is not synced before the WAL is restarted": {
			ignores: func(l *life) func(Sync) bool { return l.rec.SyncsOf(mainFile) },
			says:    orWorse,
		},
		"a name that is not synced": {
			ignores: func(*life) func(Sync) bool { return func(s Sync) bool { return s.File == 0 } },
			says:    orWorse,
		},
		"an answer before the last sync": {
			spoil: func(l *life) {
				of := l.rec.SyncsOf(walFile)
				for i := range l.rec.Answers {
					for _, s := range l.rec.Syncs {
						if of(s) && s.End < l.rec.Answers[i].At {
							l.rec.Answers[i].At = max(s.Start, 1)
						}
					}
				}
			},
			says: lost,
		},
		"an event that is delivered before it is sent": {
			spoil: func(l *life) {
				for i := range l.rec.Requests {
					l.rec.Requests[i].At = l.rec.Length
				}
			},
			says: []string{"is recorded as delivered"},
		},
		"an event with another upstream": {
			spoil: func(l *life) { l.promise.Upstreams["event-1"] = []string{"ehr"} },
			says:  []string{"has 2 deliveries, but 1 upstreams"},
		},
		"a key that is lost": {
			spoil: func(l *life) { l.promise.Keys = []seal.Key{{9}} },
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
			var counts func(Sync) bool
			from := 0
			if tt.ignores != nil {
				ignored := tt.ignores(l)
				counts = func(s Sync) bool { return !ignored(s) }
				from = l.rec.Answers[events/4].At // earlier, there are few events to lose
			}
			found := l.replay(150, from, counts)
			if tt.ignores != nil && found.Lost == 0 {
				t.Errorf("of %d cuts none lost an event", found.Cuts)
			}
			reports := strings.Join(found.Reports, "\n")
			if found.Failed == 0 || !slices.ContainsFunc(tt.says, func(s string) bool { return strings.Contains(reports, s) }) {
				t.Errorf("of %d cuts %d failed, %d events were lost, and no report contains one of %q:\n%s", found.Cuts, found.Failed, found.Lost, tt.says, reports)
			}
			if found.Failed > maxFailures+16 {
				t.Errorf("%d cuts failed, and the replay did not stop", found.Failed)
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
		t.Error("Replay() = nil with an ended context")
	}
}
