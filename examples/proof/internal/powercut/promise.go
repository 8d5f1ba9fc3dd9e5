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

// A Promise has the facts that are needed to check a queue after a power cut, in addition to the answers in the
// recording.
type Promise struct {
	Path      string              // the queue's file, below the recorded directory
	Keys      []seal.Key          // if empty, the automatic key
	Upstreams map[string][]string // the upstreams of each event
	Hosts     map[string]string   // the Host header of each upstream's requests
	Accepted  map[Delivery]bool   // the deliveries that the backends have accepted until the end

	earlier *Recording // the recording of the promise; nil means the replayed one
	at      int        // the moment in it
}

// After returns the promise after a power cut at a moment of a recording, for the replay of a later recording.
func (p *Promise) After(rec *Recording, at int) *Promise {
	after := *p
	after.earlier, after.at = rec, at
	return &after
}

// A Delivery is an event for an upstream.
type Delivery struct{ Upstream, ID string }

// findings are the broken promises that an inspection has found. The queue's damage reports are added too.
type findings struct {
	dir    string        // the inspected directory, which is removed from reports
	opened time.Duration // the time to open the queue

	mu      sync.Mutex
	reports []string
	lost    int
}

func (f *findings) report(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, strings.ReplaceAll(fmt.Sprintf(format, args...), f.dir+"/", ""))
}

// reportLost reports an acknowledged event that is lost or wrong.
func (f *findings) reportLost(format string, args ...any) {
	f.addLost(1)
	f.report(format, args...)
}

func (f *findings) addLost(events int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lost += events
}

// damaged reports damage that the queue has found: a power cut must not cause any.
func (f *findings) damaged(err error) { f.report("the queue reports damage: %v", err) }

// String returns the first findings.
func (f *findings) String() string {
	const some = 4
	text := strings.Join(f.reports[:min(some, len(f.reports))], "; ")
	if more := len(f.reports) - some; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// facts are what is known at a moment.
type facts struct {
	*Promise

	acknowledged map[string]bool
	accepted     map[Delivery]bool // deliveries whose accepted attempt had started
}

// factsAt returns the facts at a moment. The queue may have recorded a delivery from the moment when the accepted request,
// which is the last one, has started.
func (p *Promise) factsAt(rec *Recording, at int) *facts {
	if p.earlier != nil {
		rec, at = p.earlier, p.at
	}
	k := &facts{Promise: p, acknowledged: make(map[string]bool), accepted: make(map[Delivery]bool)}
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
		k.accepted[d] = q.At <= at && p.Accepted[d]
	}
	return k
}

// everywhere reports whether every upstream of an event may have accepted it.
func (k *facts) everywhere(id string) bool {
	for _, u := range k.Upstreams[id] {
		if !k.accepted[Delivery{Upstream: u, ID: id}] {
			return false
		}
	}
	return true
}

// check opens the queue in a directory and compares it with the promise at a moment. It returns an error only if it could
// not check.
func (p *Promise) check(ctx context.Context, rec *Recording, at int, dir string) (*findings, error) {
	f := &findings{dir: dir}
	k := p.factsAt(rec, at)
	path := filepath.Join(dir, p.Path)
	began := time.Now()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Keys: p.Keys, Settings: queue.DefaultSettings(), OnDamage: f.damaged})
	if f.opened = time.Since(began); err != nil {
		f.addLost(len(k.acknowledged))
		f.report("with %d events acknowledged: %v", len(k.acknowledged), err)
		return f, nil
	}
	if err := intact(ctx, path); err != nil { // stop here, since the rest finds no more and may take long
		f.addLost(len(k.acknowledged))
		f.report("with %d events acknowledged, after it was opened: %v", len(k.acknowledged), errors.Join(err, q.Close()))
		return f, ctx.Err()
	}
	inspect := inspection{facts: k, findings: f, queue: q}
	err = inspect.run(ctx)
	if err := errors.Join(err, q.Close()); err != nil {
		f.report("%v", err)
		return f, ctx.Err()
	}
	if err := intact(ctx, path); err != nil {
		f.report("after it was used: %v", err)
	}
	return f, ctx.Err()
}
