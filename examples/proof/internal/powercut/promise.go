package powercut

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Promise is what is to be found again after a power cut, beside the answers
// that the recording holds.
type Promise struct {
	Path      string              // the queue's file, below the directory that is looked at
	Keys      []seal.Key          // none: the automatic one
	Upstreams map[string][]string // of each event that was sent, whom it is for
	Hosts     map[string]string   // of each upstream, the host that its requests name
	Taken     map[Delivery]bool   // what the backends have taken in the end

	earlier *Recording // in which it was made; nil: in the one that is replayed
	at      int        // the moment of that one
}

// After returns what is promised after a power cut at a moment of a recording, for
// the replay of a recording of what followed.
func (p *Promise) After(rec *Recording, at int) *Promise {
	after := *p
	after.earlier, after.at = rec, at
	return &after
}

// A Delivery is an event at an upstream.
type Delivery struct{ Upstream, ID string }

// findings are what a look at a queue has found. The queue itself may add to them.
type findings struct {
	dir    string        // that was looked at; reports do not name it
	opened time.Duration // how long opening took

	mu      sync.Mutex
	reports []string
	lost    int
}

func (f *findings) say(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, strings.ReplaceAll(fmt.Sprintf(format, args...), f.dir+"/", ""))
}

// miss reports an event that was acknowledged and is not as it must be.
func (f *findings) miss(format string, args ...any) {
	f.lose(1)
	f.say(format, args...)
}

func (f *findings) lose(events int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost += events
}

// damaged reports what the queue takes for damage, of which a power cut does none.
func (f *findings) damaged(err error) { f.say("the queue reports damage: %v", err) }

// String has the first of what was found.
func (f *findings) String() string {
	const some = 4
	text := strings.Join(f.reports[:min(some, len(f.reports))], "; ")
	if more := len(f.reports) - some; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// known are the facts at a moment.
type known struct {
	*Promise

	acknowledged map[string]bool
	taken        map[Delivery]bool // an attempt that was taken in the end had begun
}

// known returns what holds at a moment: a delivery may have been recorded as made
// once the request that its backend took, which is the last, had begun.
func (p *Promise) known(rec *Recording, at int) *known {
	if p.earlier != nil {
		rec, at = p.earlier, p.at
	}
	k := &known{Promise: p, acknowledged: make(map[string]bool), taken: make(map[Delivery]bool)}
	for _, a := range rec.Answers {
		if a.At <= at {
			k.acknowledged[a.ID] = true
		}
	}
	upstreams := make(map[string]string, len(p.Hosts))
	for upstream, host := range p.Hosts {
		upstreams[host] = upstream
	}
	for _, q := range rec.Requests {
		d := Delivery{Upstream: upstreams[q.Host], ID: q.ID}
		k.taken[d] = q.At <= at && p.Taken[d]
	}
	return k
}

// everywhere reports whether every upstream of an event may have taken it.
func (k *known) everywhere(id string) bool {
	for _, u := range k.Upstreams[id] {
		if !k.taken[Delivery{Upstream: u, ID: id}] {
			return false
		}
	}
	return true
}

// check opens the queue in a directory and compares it with what was promised up
// to a moment. An error is for what keeps it from looking.
func (p *Promise) check(ctx context.Context, rec *Recording, at int, dir string) (*findings, error) {
	f := &findings{dir: dir}
	k := p.known(rec, at)
	path := filepath.Join(dir, p.Path)
	began := time.Now()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Keys: p.Keys, Settings: queue.DefaultSettings(), OnDamage: f.damaged})
	if f.opened = time.Since(began); err != nil {
		f.lose(len(k.acknowledged))
		f.say("with %d events acknowledged: %v", len(k.acknowledged), err)
		return f, nil
	}
	if err := sound(ctx, path); err != nil { // there is no more to be learned, and it may take long
		f.lose(len(k.acknowledged))
		f.say("with %d events acknowledged, after it was opened: %v", len(k.acknowledged), errors.Join(err, q.Close()))
		return f, ctx.Err()
	}
	look := looking{known: k, findings: f, queue: q}
	err = look.all(ctx)
	if err := errors.Join(err, q.Close()); err != nil {
		f.say("%v", err)
		return f, ctx.Err()
	}
	if err := sound(ctx, path); err != nil {
		f.say("after it was used: %v", err)
	}
	return f, ctx.Err()
}
