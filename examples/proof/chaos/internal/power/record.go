package power

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/proof/internal/powercut"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A recordingOf says what to record.
type recordingOf struct {
	events      int
	compactions int
	withKey     bool // configure a key; otherwise the gateway makes one
}

// A recorded is the recording of a gateway that ran with strace, with the outcome of each event.
type recorded struct {
	rec         *powercut.Recording
	promise     powercut.Promise
	row         table.Row
	compactions int
}

// queueBelow is the path of the queue's file below the recorded directory. The gateway makes the directory made.
const (
	queueName  = "queue.db"
	queueBelow = "made/" + queueName
)

// record runs a gateway with strace from its first start to its end, with events that are accepted, rejected by
// backends, retried, delivered and deleted.
func record(ctx context.Context, e *scenario.Env, strace string, of recordingOf) (out *recorded, err error) {
	r, err := e.NewRig(ctx, "ehr", "audit", "late")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	root, log, script := filepath.Join(r.Dir, "disk"), filepath.Join(r.Dir, "strace"), filepath.Join(r.Dir, "traced")
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for the recording: %w", err)
	}
	if err := powercut.WriteWrapper(script, strace, r.Binary, log); err != nil {
		return nil, err
	}
	r.Binary = script

	out = &recorded{promise: powercut.Promise{Path: queueBelow, Hosts: make(map[string]string)}}
	for _, name := range r.Ledger.Names() {
		out.promise.Hosts[name] = r.Ledger.Backend(name).Address
	}
	o := gateway.Options{
		App:      "history_retention 1s",
		Upstream: map[string]string{"late": "events transcription.completed\n" + gateway.UsualRetry},
	}
	if of.withKey {
		key := seal.NewKey()
		out.promise.Keys = []seal.Key{key}
		o.Queue = "encryption_key " + key.Encode()
	}
	caddyfile := strings.ReplaceAll(r.Caddyfile(o), r.QueueFile(), filepath.Join(root, queueBelow))
	if err := r.Start(ctx, caddyfile); err != nil {
		return nil, err
	}
	b := ledger.NewBook()
	if out.compactions, err = busy(ctx, r, b, of); err != nil {
		return nil, err
	}
	if others := b.Others(); others != "" {
		return nil, fmt.Errorf("recording: there were other outcomes than 200: %s", others)
	}
	if out.row, err = r.Settle(ctx, addressed(b), 30*time.Second); err != nil {
		return nil, err
	}
	if err := await.Sleep(ctx, 1500*time.Millisecond); err != nil { // until the history is deleted
		return nil, err
	}
	if err := r.Stop(); err != nil {
		return nil, err
	}
	return out, out.read(ctx, log, root, r, b)
}

// busy sends events in two halves, and compacts the file at the same time. ehr rejects the first attempt of each
// event, and late rejects everything until the second half.
func busy(ctx context.Context, r *gateway.Rig, b *ledger.Book, of recordingOf) (compactions int, err error) {
	r.Ledger.Backend("ehr").Behave(ledger.Behavior{RejectFirst: 1})
	r.Ledger.Backend("late").Behave(ledger.Behavior{RejectAll: true})
	for half := range 2 {
		f := r.Fleet()
		f.Senders, f.Limit, f.Rate, f.Padding = 8, of.events/2, 100, 1500
		l := f.Start(ctx, b)
		for range (of.compactions + half) / 2 {
			if err = await.Sleep(ctx, 400*time.Millisecond); err != nil {
				break
			}
			if _, err = r.Compact(ctx); err != nil {
				break
			}
			compactions++
		}
		l.Done()
		if err != nil {
			return compactions, err
		}
		r.Ledger.Backend("late").Behave(ledger.Behavior{})
	}
	return compactions, nil
}

// upstreamsOf returns the upstreams of an event, by its id.
func upstreamsOf(id string) []string {
	if strings.HasPrefix(id, "soniox-") {
		return []string{"ehr", "audit", "late"}
	}
	return []string{"ehr", "audit"}
}

// addressed returns a copy of the book with the upstreams of each event.
func addressed(b *ledger.Book) *ledger.Book {
	out := ledger.NewBook()
	for id := range b.Snapshot() {
		out.Acknowledge(id, upstreamsOf(id), false, 0)
	}
	return out
}

// read reads the recording from strace's log, and checks that it is complete.
func (c *recorded) read(ctx context.Context, log, root string, r *gateway.Rig, b *ledger.Book) error {
	err := waitLog(ctx, log, r.Proc.PID())
	if err != nil {
		return err
	}
	if c.rec, err = readLog(log, root, nil); err != nil {
		return err
	}
	return c.know(b, r.Ledger.Accepted())
}

// know sets the upstreams of each event and the accepted deliveries in the promise. Every acknowledged event must
// be in the recording.
func (c *recorded) know(b *ledger.Book, accepted map[string]map[string]int) error {
	c.promise.Upstreams, c.promise.Accepted = make(map[string][]string), make(map[powercut.Delivery]bool)
	for _, a := range c.rec.Answers {
		c.promise.Upstreams[a.ID] = upstreamsOf(a.ID)
	}
	for id := range b.Snapshot() {
		if c.promise.Upstreams[id] == nil {
			return fmt.Errorf("reading strace's log: the acknowledged event %s is not in the log", id)
		}
	}
	for upstream, counts := range accepted {
		for id := range counts {
			c.promise.Accepted[powercut.Delivery{Upstream: upstream, ID: id}] = true
		}
	}
	return nil
}
