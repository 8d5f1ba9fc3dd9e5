package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	row         result
	compactions int
}

// queueBelow is the path of the queue's file below the recorded directory. The gateway makes the directory made.
const (
	queueName  = "queue.db"
	queueBelow = "made/" + queueName
)

// record runs a gateway with strace from its first start to its end, with events that are accepted, rejected by
// backends, retried, delivered and deleted.
func (e *env) record(ctx context.Context, strace string, of recordingOf) (out *recorded, err error) {
	r, err := e.newRig(ctx, "ehr", "audit", "late")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	root, log, script := filepath.Join(r.dir, "disk"), filepath.Join(r.dir, "strace"), filepath.Join(r.dir, "traced")
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory for the recording: %w", err)
	}
	if err := powercut.WriteWrapper(script, strace, r.binary, log); err != nil {
		return nil, err
	}
	r.binary = script

	out = &recorded{promise: powercut.Promise{Path: queueBelow, Hosts: make(map[string]string)}}
	for _, name := range r.ledger.names() {
		out.promise.Hosts[name] = r.ledger.backend(name).address
	}
	o := options{
		app:      "history_retention 1s",
		upstream: map[string]string{"late": "events transcription.completed\n" + usualRetry},
	}
	if of.withKey {
		key := seal.NewKey()
		out.promise.Keys = []seal.Key{key}
		o.queue = "encryption_key " + key.Encode()
	}
	caddyfile := strings.ReplaceAll(r.caddyfile(o), r.queueFile(), filepath.Join(root, queueBelow))
	if err := r.start(ctx, caddyfile); err != nil {
		return nil, err
	}
	b := newBook()
	if out.compactions, err = r.busy(ctx, b, of); err != nil {
		return nil, err
	}
	if others := b.others(); others != "" {
		return nil, fmt.Errorf("recording: there were other outcomes than 200: %s", others)
	}
	if out.row, err = r.settle(ctx, addressed(b), 30*time.Second); err != nil {
		return nil, err
	}
	if err := sleep(ctx, 1500*time.Millisecond); err != nil { // until the history is deleted
		return nil, err
	}
	if err := r.stop(); err != nil {
		return nil, err
	}
	return out, out.read(ctx, log, root, r, b)
}

// busy sends events in two halves, and compacts the file at the same time. ehr rejects the first attempt of each
// event, and late rejects everything until the second half.
func (r *rig) busy(ctx context.Context, b *book, of recordingOf) (compactions int, err error) {
	r.ledger.backend("ehr").behave(behavior{rejectFirst: 1})
	r.ledger.backend("late").behave(behavior{rejectAll: true})
	for half := range 2 {
		f := r.fleet()
		f.senders, f.limit, f.rate, f.padding = 8, of.events/2, 100, 1500
		l := f.start(ctx, b)
		for range (of.compactions + half) / 2 {
			if err = sleep(ctx, 400*time.Millisecond); err != nil {
				break
			}
			if _, err = r.compact(ctx); err != nil {
				break
			}
			compactions++
		}
		l.done()
		if err != nil {
			return compactions, err
		}
		r.ledger.backend("late").behave(behavior{})
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
func addressed(b *book) *book {
	out := newBook()
	for id := range b.snapshot() {
		out.acknowledge(id, upstreamsOf(id), false, 0)
	}
	return out
}

// read reads the recording from strace's log, and checks that it is complete.
func (c *recorded) read(ctx context.Context, log, root string, r *rig, b *book) error {
	err := waitLog(ctx, log, r.proc.pid())
	if err != nil {
		return err
	}
	if c.rec, err = readLog(log, root, nil); err != nil {
		return err
	}
	return c.know(b, r.ledger.accepted())
}

// know sets the upstreams of each event and the accepted deliveries in the promise. Every acknowledged event must
// be in the recording.
func (c *recorded) know(b *book, accepted map[string]map[string]int) error {
	c.promise.Upstreams, c.promise.Accepted = make(map[string][]string), make(map[powercut.Delivery]bool)
	for _, a := range c.rec.Answers {
		c.promise.Upstreams[a.ID] = upstreamsOf(a.ID)
	}
	for id := range b.snapshot() {
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
