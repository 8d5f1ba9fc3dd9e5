package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// runOrphans removes an upstream that has events from the configuration, and adds it again.
func runOrphans(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr", "lab")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	c, err := newConfigurations(ctx, r, r.ledger.backend("ehr").address, r.ledger.backend("lab").address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	o := orphanRun{rig: r, with: c.usual(), without: c.withoutLab(), write: c.caddyfile}
	o.with.logs, o.without.logs = "WARN", "WARN"
	b := newBook()
	f := r.fleet()
	f.limit = e.pick(60, 1000)
	times := e.pick(3, 30)
	if err := r.start(ctx, o.write(o.with)); err != nil {
		return nil, err
	}
	purged := 0
	for n := range times {
		// Every second time the gateway is killed, and starts without the upstream.
		o.restart = n%2 == 1
		gone, err := o.round(ctx, f, b)
		purged += gone
		if err != nil {
			return nil, fmt.Errorf("removing an upstream that has events, and adding it again: %w", err)
		}
	}
	row, err := r.settle(ctx, b, 30*time.Second)
	row.fault, row.times, row.recovery = "upstream taken out with events", times, o.longest
	row.note = fmt.Sprintf("kept, shown as orphaned, logged; %d purged, the others delivered when it came back", purged)
	return []result{row}, err
}

// An orphanRun removes an upstream and adds it again.
type orphanRun struct {
	*rig
	with, without configuration
	write         func(configuration) string
	restart       bool // restart the gateway with kill -9 instead of a reload
	longest       time.Duration
}

// round makes events wait for the lab, removes the lab, purges every tenth event, adds the lab again and waits
// for the other events. It returns the number of purged events.
func (o *orphanRun) round(ctx context.Context, f fleet, b *book) (purged int, err error) {
	lab := o.ledger.backend("lab")
	lab.behave(behavior{rejectAll: true})
	sent := newBook()
	f.start(ctx, sent).done()
	if others := sent.others(); others != "" {
		return 0, fmt.Errorf("there were other outcomes than 200: %s", others)
	}
	if err := o.change(ctx, o.without); err != nil {
		return 0, err
	}
	if err := o.orphaned(ctx, sent.events()); err != nil {
		return 0, err
	}
	purge, err := o.some(ctx, sent)
	if err != nil {
		return 0, err
	}
	for id := range sent.snapshot() {
		upstreams := []string{"ehr", "lab"}
		if purge[id] {
			upstreams = []string{"ehr"}
		}
		b.acknowledge(id, upstreams, false, 0)
	}
	if err := o.purge(ctx, purge); err != nil {
		return 0, err
	}
	if err := o.orphaned(ctx, sent.events()-len(purge)); err != nil {
		return 0, err
	}
	lab.behave(behavior{})
	began := time.Now()
	if err := o.change(ctx, o.with); err != nil {
		return 0, err
	}
	w := o.ledger.watch(b)
	defer w.end()
	if err := w.wait(ctx, patience, o.proc.ended); err != nil {
		return 0, err
	}
	o.longest = max(o.longest, time.Since(began))
	for id := range purge {
		if lab.has(id) {
			return 0, fmt.Errorf("the event %s was purged and delivered", id)
		}
	}
	return len(purge), nil
}

// change loads another configuration.
func (o *orphanRun) change(ctx context.Context, v configuration) error {
	if !o.restart {
		return o.load(ctx, o.write(v))
	}
	if err := o.kill(); err != nil {
		return err
	}
	return o.start(ctx, o.write(v))
}

// orphaned checks that the status, the list and the log show the lab as an upstream that is not configured and has
// n events.
func (o *orphanRun) orphaned(ctx context.Context, n int) error {
	s, err := o.status(ctx)
	if err != nil {
		return err
	}
	u, _ := s.upstream("lab")
	if !u.Orphaned || u.Pending != n {
		return fmt.Errorf("the status shows %+v for a removed upstream with %d events", u, n)
	}
	listed := 0
	err = o.eachEvent(ctx, "state=pending&upstream=lab", func(listedEvent) error {
		listed++
		return nil
	})
	if err != nil || listed != n {
		return errors.Join(err, fmt.Errorf("%d events are listed for a removed upstream with %d events", listed, n))
	}
	// The gateway writes its log in the background, so the line may come later than the status.
	return eventually(ctx, "a warning about the events of a removed upstream in the log", func() (bool, error) {
		log, err := os.ReadFile(o.proc.log)
		return strings.Contains(string(log), "events wait for an upstream that is not configured"), err
	})
}

// some returns a tenth of the events.
func (o *orphanRun) some(ctx context.Context, sent *book) (map[string]bool, error) {
	ehr := o.ledger.backend("ehr")
	some := make(map[string]bool)
	for id := range sent.snapshot() {
		if len(some) >= sent.events()/10 {
			break
		}
		// Wait, since a purge deletes the event for all upstreams.
		if err := eventually(ctx, "the other upstream's delivery", func() (bool, error) { return ehr.has(id), nil }); err != nil {
			return nil, err
		}
		some[id] = true
	}
	return some, nil
}

// purge deletes events by their ids.
func (o *orphanRun) purge(ctx context.Context, ids map[string]bool) error {
	var selection struct {
		IDs   []string `json:"ids"`
		Force bool     `json:"force"`
	}
	selection.Force = true // they wait for the lab
	for id := range ids {
		selection.IDs = append(selection.IDs, id)
	}
	body, err := json.Marshal(selection)
	if err != nil {
		return err
	}
	var answer struct {
		Purged int `json:"purged"`
	}
	if err := o.call(ctx, http.MethodPost, "/scribegate/purge", "application/json", string(body), &answer); err != nil {
		return err
	}
	if answer.Purged != len(ids) {
		return fmt.Errorf("%d events should be purged, and %d were", len(ids), answer.Purged)
	}
	return nil
}
