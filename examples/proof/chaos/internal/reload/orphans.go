package reload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// runOrphans removes an upstream that has events from the configuration, and adds it again.
func runOrphans(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr", "lab")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	c, err := newConfigurations(ctx, r, r.Ledger.Backend("ehr").Address, r.Ledger.Backend("lab").Address)
	if err != nil {
		return nil, err
	}
	defer c.close()
	o := orphanRun{Rig: r, with: c.usual(), without: c.withoutLab(), write: c.caddyfile}
	o.with.logs, o.without.logs = "WARN", "WARN"
	b := ledger.NewBook()
	f := r.Fleet()
	f.Limit = e.Pick(60, 1000)
	times := e.Pick(3, 30)
	if err := r.Start(ctx, o.write(o.with)); err != nil {
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
	row, err := r.Settle(ctx, b, 30*time.Second)
	row.Fault, row.Times, row.Recovery = "upstream taken out with events", times, o.longest
	row.Note = fmt.Sprintf("kept, shown as orphaned, logged; %d purged, the others delivered when it came back", purged)
	return []table.Row{row}, err
}

// An orphanRun removes an upstream and adds it again.
type orphanRun struct {
	*gateway.Rig
	with, without configuration
	write         func(configuration) string
	restart       bool // restart the gateway with kill -9 instead of a reload
	longest       time.Duration
}

// round makes events wait for the lab, removes the lab, purges every tenth event, adds the lab again and waits
// for the other events. It returns the number of purged events.
func (o *orphanRun) round(ctx context.Context, f load.Fleet, b *ledger.Book) (purged int, err error) {
	lab := o.Ledger.Backend("lab")
	lab.Behave(ledger.Behavior{RejectAll: true})
	sent := ledger.NewBook()
	f.Start(ctx, sent).Done()
	if others := sent.Others(); others != "" {
		return 0, fmt.Errorf("there were other outcomes than 200: %s", others)
	}
	if err := o.change(ctx, o.without); err != nil {
		return 0, err
	}
	if err := o.orphaned(ctx, sent.Events()); err != nil {
		return 0, err
	}
	purge, err := o.some(ctx, sent)
	if err != nil {
		return 0, err
	}
	for id := range sent.Snapshot() {
		upstreams := []string{"ehr", "lab"}
		if purge[id] {
			upstreams = []string{"ehr"}
		}
		b.Acknowledge(id, upstreams, false, 0)
	}
	if err := o.purge(ctx, purge); err != nil {
		return 0, err
	}
	if err := o.orphaned(ctx, sent.Events()-len(purge)); err != nil {
		return 0, err
	}
	lab.Behave(ledger.Behavior{})
	began := time.Now()
	if err := o.change(ctx, o.with); err != nil {
		return 0, err
	}
	w := o.Ledger.Watch(b)
	defer w.End()
	if err := w.Wait(ctx, await.Patience, o.Proc.Ended); err != nil {
		return 0, err
	}
	o.longest = max(o.longest, time.Since(began))
	for id := range purge {
		if lab.Has(id) {
			return 0, fmt.Errorf("the event %s was purged and delivered", id)
		}
	}
	return len(purge), nil
}

// change loads another configuration.
func (o *orphanRun) change(ctx context.Context, v configuration) error {
	if !o.restart {
		return o.Load(ctx, o.write(v))
	}
	if err := o.Kill(); err != nil {
		return err
	}
	return o.Start(ctx, o.write(v))
}

// orphaned checks that the status, the list and the log show the lab as an upstream that is not configured and has
// n events.
func (o *orphanRun) orphaned(ctx context.Context, n int) error {
	s, err := o.Status(ctx)
	if err != nil {
		return err
	}
	u, _ := s.Upstream("lab")
	if !u.Orphaned || u.Pending != n {
		return fmt.Errorf("the status shows %+v for a removed upstream with %d events", u, n)
	}
	listed := 0
	err = o.EachEvent(ctx, "state=pending&upstream=lab", func(gateway.ListedEvent) error {
		listed++
		return nil
	})
	if err != nil || listed != n {
		return errors.Join(err, fmt.Errorf("%d events are listed for a removed upstream with %d events", listed, n))
	}
	// The gateway writes its log in the background, so the line may come later than the status.
	return await.Eventually(ctx, "a warning about the events of a removed upstream in the log", func() (bool, error) {
		log, err := os.ReadFile(o.Proc.Log)
		return strings.Contains(string(log), "events wait for an upstream that is not configured"), err
	})
}

// some returns a tenth of the events.
func (o *orphanRun) some(ctx context.Context, sent *ledger.Book) (map[string]bool, error) {
	ehr := o.Ledger.Backend("ehr")
	some := make(map[string]bool)
	for id := range sent.Snapshot() {
		if len(some) >= sent.Events()/10 {
			break
		}
		// Wait, since a purge deletes the event for all upstreams.
		if err := await.Eventually(ctx, "the other upstream's delivery", func() (bool, error) { return ehr.Has(id), nil }); err != nil {
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
	if err := o.Call(ctx, http.MethodPost, "/scribegate/purge", "application/json", string(body), &answer); err != nil {
		return err
	}
	if answer.Purged != len(ids) {
		return fmt.Errorf("%d events should be purged, and %d were", len(ids), answer.Purged)
	}
	return nil
}
