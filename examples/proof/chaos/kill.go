package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var killScenario = scenario{
	name: "kill",
	text: "kill -9 at random moments under load, whatever the gateway is about",
	run:  runKill,
}

// A moment is what the gateway is about when it is killed.
type moment struct {
	name         string
	small, large int // kills

	upstreams []string          // default: ehr and audit
	manners   map[string]manner // of their backends
	options   options
	rate      float64 // of the load; 0 is flat out

	prepare func(ctx context.Context, k *killing) error // before each kill
	restore func(k *killing)                            // after each kill, before the start
	work    func(ctx context.Context, k *killing) error // beside the load, until ctx ends
	worked  string                                      // what work did, for the note; it must have happened
	finish  func(ctx context.Context, k *killing) error // after all is delivered
	early   bool                                        // two kills of three are while it starts
}

// slowly is how a backend answers where some events have to wait: an upstream takes
// fewer than 1,000 of them a second then.
const slowly = 40 * time.Millisecond

var slow = map[string]manner{"ehr": {delay: slowly}, "audit": {delay: slowly}}

// moments are 20 kills at small size and 500 at large.
var moments = []moment{
	{name: "accepting", small: 3, large: 70, manners: map[string]manner{"audit": {delay: slowly / 4}}},
	{name: "delivering", small: 3, large: 60, rate: 1200, manners: slow},
	{name: "retrying", small: 2, large: 60, manners: map[string]manner{"ehr": {refuseFirst: 2}, "audit": {refuseFirst: 1}}, rate: 400, finish: someRefused},
	{name: "paused", small: 2, large: 50, upstreams: []string{"ehr"}, rate: 500, prepare: pauseUpstream, restore: healUpstream},
	{
		name: "expiring", small: 2, large: 60, upstreams: []string{"ehr", "audit", "gone"}, rate: 1000,
		manners: map[string]manner{"ehr": {delay: slowly}, "gone": {refuseAll: true, status: http.StatusGone}},
		options: options{
			app:      "dedupe_window 10s\nhistory_retention 1s\ndead_retention 1s\nkeep_delivered 300ms",
			soapnote: "tolerance 5s",
		},
		finish: allExpired,
	},
	{name: "reloading", small: 2, large: 60, rate: 1000, manners: slow, work: reload, worked: "reloads"},
	{name: "compacting", small: 2, large: 60, rate: 1000, manners: slow, work: compactAgain, worked: "compactions"},
	{name: "backing up", small: 2, large: 40, rate: 1000, manners: slow, work: backUpAgain, worked: "backups"},
	{name: "starting", small: 2, large: 40, rate: 150, manners: map[string]manner{"ehr": {delay: 4 * slowly}, "audit": {delay: slowly}}, early: true},
}

func runKill(ctx context.Context, e *env) (rows []result, err error) {
	for _, m := range moments {
		row, killErr := e.killAt(ctx, m)
		row.fault = "kill -9 while " + m.name
		if killErr != nil {
			err = errors.Join(err, fmt.Errorf("kill -9 while %s: %w", m.name, killErr))
			row.note = "FAILED: " + firstLine(killErr)
		}
		e.say("  %s: %d kills, %d acknowledged, %d lost %s", row.fault, row.times, row.acknowledged, row.lost, row.note)
		rows = append(rows, row)
	}
	return rows, err
}

// pauseUpstream has the upstream fail until it is paused.
func pauseUpstream(ctx context.Context, k *killing) error {
	k.rig.ledger.backend("ehr").behave(manner{refuseAll: true, status: http.StatusInternalServerError})
	return eventually(ctx, "the upstream to be paused", func() (bool, error) {
		s, err := k.rig.status(ctx)
		u, _ := s.upstream("ehr")
		return u.Paused, err
	})
}

func healUpstream(k *killing) { k.rig.ledger.backend("ehr").behave(manner{}) }

// someRefused makes sure that there was something to be tried again.
func someRefused(_ context.Context, k *killing) error {
	for _, name := range k.rig.ledger.names() {
		if k.rig.ledger.backend(name).refusals() == 0 {
			return fmt.Errorf("the backend %s never refused an attempt", name)
		}
	}
	return nil
}

// allExpired waits until nothing is kept of what was delivered or died.
func allExpired(ctx context.Context, k *killing) error {
	return eventually(ctx, "everything to expire", func() (bool, error) {
		var page struct {
			Events []struct{} `json:"events"`
		}
		err := k.rig.call(ctx, http.MethodGet, "/scribegate/events?limit=1", "", "", &page)
		return len(page.Events) == 0, err
	})
}

// reload changes the configuration again and again; every third one is refused.
func reload(ctx context.Context, k *killing) error {
	changed := k.moment.options
	changed.upstream = map[string]string{"ehr": "concurrency 8\n" + usualRetry}
	texts := []string{k.rig.caddyfile(changed), k.rig.caddyfile(options{app: "no_such_directive"}), k.rig.caddyfile(k.moment.options)}
	for n := 0; ctx.Err() == nil; n++ {
		err := k.rig.load(ctx, texts[n%len(texts)])
		if n%len(texts) == 1 {
			if !answered(err, http.StatusBadRequest) {
				return fmt.Errorf("loading a configuration that should be refused: %w", err)
			}
			continue
		}
		if err != nil {
			return err
		}
		k.works.Add(1)
	}
	return nil
}

// compactAgain compacts the file again and again.
func compactAgain(ctx context.Context, k *killing) error {
	for ctx.Err() == nil {
		k.busy.Store(true)
		if _, err := k.rig.compact(ctx); err != nil {
			return err
		}
		k.busy.Store(false)
		k.works.Add(1)
	}
	return nil
}

// backUpAgain takes one backup after the other.
func backUpAgain(ctx context.Context, k *killing) error {
	for ctx.Err() == nil {
		k.busy.Store(true)
		if err := k.rig.call(ctx, http.MethodPost, "/scribegate/backup", "", "", nil); err != nil {
			return err
		}
		k.busy.Store(false)
		k.works.Add(1)
	}
	return nil
}
