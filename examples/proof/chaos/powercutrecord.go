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

// A recordingOf says what is recorded.
type recordingOf struct {
	events      int
	compactions int
	withKey     bool // the configuration has a key; else the automatic one is made
}

// A recorded is a gateway that ran under strace, and all that became of it.
type recorded struct {
	rec         *powercut.Recording
	promise     powercut.Promise
	row         result
	compactions int
}

// queueBelow is the queue's file, below a directory that is recorded. The
// directory that it is in is the gateway's to make.
const (
	queueName  = "queue.db"
	queueBelow = "made/" + queueName
)

// record runs a gateway under strace, from its first start to its end, with
// events that are accepted, refused, tried again, delivered and forgotten.
func (e *env) record(ctx context.Context, strace string, of recordingOf) (out *recorded, err error) {
	r, err := e.newRig(ctx, "ehr", "audit", "late")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	root, log, script := filepath.Join(r.dir, "disk"), filepath.Join(r.dir, "strace"), filepath.Join(r.dir, "traced")
	if err := os.Mkdir(root, 0o700); err != nil {
		return nil, fmt.Errorf("making a directory to record: %w", err)
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
		return nil, fmt.Errorf("recording: beside the answers 200 there were: %s", others)
	}
	if out.row, err = r.settle(ctx, addressed(b), 30*time.Second); err != nil {
		return nil, err
	}
	if err := sleep(ctx, 1500*time.Millisecond); err != nil { // until all is forgotten
		return nil, err
	}
	if err := r.stop(); err != nil {
		return nil, err
	}
	return out, out.read(ctx, log, root, r, b)
}

// busy sends events, in two halves, and has the file compacted meanwhile. Half
// of the first attempts are refused, and the upstream late takes nothing before
// the second half.
func (r *rig) busy(ctx context.Context, b *book, of recordingOf) (compactions int, err error) {
	r.ledger.backend("ehr").behave(manner{refuseFirst: 1})
	r.ledger.backend("late").behave(manner{refuseAll: true})
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
		r.ledger.backend("late").behave(manner{})
	}
	return compactions, nil
}

// upstreamsOf returns whom an event is for, by its id.
func upstreamsOf(id string) []string {
	if strings.HasPrefix(id, "soniox-") {
		return []string{"ehr", "audit", "late"}
	}
	return []string{"ehr", "audit"}
}

// addressed is the book with the upstreams of each event in it.
func addressed(b *book) *book {
	out := newBook()
	for id := range b.snapshot() {
		out.acknowledge(id, upstreamsOf(id), false, 0)
	}
	return out
}

// read makes the recording of strace's log, and checks that nothing is missing
// in it.
func (c *recorded) read(ctx context.Context, log, root string, r *rig, b *book) error {
	err := waitLog(ctx, log, r.proc.pid())
	if err != nil {
		return err
	}
	if c.rec, err = readLog(log, root, nil); err != nil {
		return err
	}
	return c.know(b, r.ledger.takings())
}

// know fills in the promise: whom each event is for, and what the backends have
// taken. Every event that was acknowledged must be in the recording.
func (c *recorded) know(b *book, takings map[string]map[string]int) error {
	c.promise.Upstreams, c.promise.Taken = make(map[string][]string), make(map[powercut.Delivery]bool)
	for _, a := range c.rec.Answers {
		c.promise.Upstreams[a.ID] = upstreamsOf(a.ID)
	}
	for id := range b.snapshot() {
		if c.promise.Upstreams[id] == nil {
			return fmt.Errorf("reading strace's log: event %s was acknowledged, and it is not in the log", id)
		}
	}
	for upstream, taken := range takings {
		for id := range taken {
			c.promise.Taken[powercut.Delivery{Upstream: upstream, ID: id}] = true
		}
	}
	return nil
}
