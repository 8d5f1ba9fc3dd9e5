package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Kill kills the gateway during different activities.
var Kill = scenario.Scenario{
	Name: "kill",
	Text: "kill -9 at random moments under load, during different activities",
	Run:  runKill,
}

// An activity is an activity of the gateway during which it is killed.
type activity struct {
	name         string
	small, large int // number of kills

	upstreams []string                   // default: ehr and audit
	behaviors map[string]ledger.Behavior // of their backends
	options   gateway.Options
	rate      float64 // of the load; 0 means no limit

	prepare func(ctx context.Context, k *killRun) error // before each kill
	restore func(k *killRun)                            // after each kill, before the restart
	work    func(ctx context.Context, k *killRun) error // during the load, until ctx ends
	worked  string                                      // name of what work counts, for the note; the count must not be 0
	finish  func(ctx context.Context, k *killRun) error // after the deliveries
	early   bool                                        // two of three kills are during the start
	window  time.Duration                               // the dedupe window in the options; 0 is the default, longer than any run
}

// slowly is the delay of a slow backend, which accepts fewer than 1,000 events per second, so that some
// events wait.
const slowly = 40 * time.Millisecond

var slow = map[string]ledger.Behavior{"ehr": {Delay: slowly}, "audit": {Delay: slowly}}

// activities have 20 kills in total with -size small, and 500 with large.
var activities = []activity{
	{name: "accepting", small: 3, large: 70, behaviors: map[string]ledger.Behavior{"audit": {Delay: slowly / 4}}},
	{name: "delivering", small: 3, large: 60, rate: 1200, behaviors: slow},
	{name: "retrying", small: 2, large: 60, behaviors: map[string]ledger.Behavior{"ehr": {RejectFirst: 2}, "audit": {RejectFirst: 1}}, rate: 400, finish: someRefused},
	{name: "paused", small: 2, large: 50, upstreams: []string{"ehr"}, rate: 500, prepare: pauseUpstream, restore: healUpstream},
	{
		name: "expiring", small: 2, large: 60, upstreams: []string{"ehr", "audit", "gone"}, rate: 600,
		behaviors: map[string]ledger.Behavior{"ehr": {Delay: slowly}, "gone": {RejectAll: true, Status: http.StatusGone}},
		options: gateway.Options{
			App:      "dedupe_window 10s\nhistory_retention 1s\ndead_retention 1s\nkeep_delivered 300ms",
			SOAPNote: "tolerance 5s",
		},
		finish: allExpired,
		window: 10 * time.Second,
	},
	{name: "reloading", small: 2, large: 60, rate: 600, behaviors: slow, work: reload, worked: "reloads"},
	{name: "compacting", small: 2, large: 60, rate: 600, behaviors: slow, work: compactAgain, worked: "compactions"},
	{name: "backing up", small: 2, large: 40, rate: 600, behaviors: slow, work: backUpAgain, worked: "backups"},
	{name: "starting", small: 2, large: 40, rate: 150, behaviors: map[string]ledger.Behavior{"ehr": {Delay: 4 * slowly}, "audit": {Delay: slowly}}, early: true},
}

func runKill(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	for _, m := range activities {
		row, killErr := killAt(ctx, e, m)
		row.Fault = "kill -9 while " + m.name
		if killErr != nil {
			err = errors.Join(err, fmt.Errorf("kill -9 while %s: %w", m.name, killErr))
			row.Note = table.Failed(killErr)
		}
		e.Logf("  %s: %d kills, %d acknowledged, %d lost %s", row.Fault, row.Times, row.Acknowledged, row.Lost, row.Note)
		rows = append(rows, row)
	}
	return rows, err
}

// pauseUpstream makes the backend fail until the upstream is paused.
func pauseUpstream(ctx context.Context, k *killRun) error {
	k.rig.Ledger.Backend("ehr").Behave(ledger.Behavior{RejectAll: true, Status: http.StatusInternalServerError})
	return await.Eventually(ctx, "a paused upstream", func() (bool, error) {
		s, err := k.rig.Status(ctx)
		u, _ := s.Upstream("ehr")
		return u.Paused, err
	})
}

func healUpstream(k *killRun) { k.rig.Ledger.Backend("ehr").Behave(ledger.Behavior{}) }

// someRefused returns an error if a backend has never rejected an attempt.
func someRefused(_ context.Context, k *killRun) error {
	for _, name := range k.rig.Ledger.Names() {
		if k.rig.Ledger.Backend(name).Rejections() == 0 {
			return fmt.Errorf("the backend %s has never rejected an attempt", name)
		}
	}
	return nil
}

// allExpired waits until the gateway lists no event.
func allExpired(ctx context.Context, k *killRun) error {
	return await.Eventually(ctx, "an empty list of events", func() (bool, error) {
		var page struct {
			Events []struct{} `json:"events"`
		}
		err := k.rig.Call(ctx, http.MethodGet, "/scribegate/events?limit=1", "", "", &page)
		return len(page.Events) == 0, err
	})
}

// reload changes the configuration again and again. Every third one is invalid.
func reload(ctx context.Context, k *killRun) error {
	changed := k.activity.options
	changed.Upstream = map[string]string{"ehr": "concurrency 8\n" + gateway.UsualRetry}
	texts := []string{k.rig.Caddyfile(changed), k.rig.Caddyfile(gateway.Options{App: "no_such_directive"}), k.rig.Caddyfile(k.activity.options)}
	for n := 0; ctx.Err() == nil; n++ {
		err := k.rig.Load(ctx, texts[n%len(texts)])
		if n%len(texts) == 1 {
			if !gateway.Answered(err, http.StatusBadRequest) {
				return fmt.Errorf("loading an invalid configuration: %w", err)
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
func compactAgain(ctx context.Context, k *killRun) error {
	for ctx.Err() == nil {
		k.busy.Store(true)
		if _, err := k.rig.Compact(ctx); err != nil {
			return err
		}
		k.busy.Store(false)
		k.works.Add(1)
	}
	return nil
}

// backUpAgain makes one backup after the other.
func backUpAgain(ctx context.Context, k *killRun) error {
	for ctx.Err() == nil {
		k.busy.Store(true)
		if err := k.rig.Call(ctx, http.MethodPost, "/scribegate/backup", "", "", nil); err != nil {
			return err
		}
		k.busy.Store(false)
		k.works.Add(1)
	}
	return nil
}
