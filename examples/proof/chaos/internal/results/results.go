package results

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// Scenario kills the gateway while it works on results.
var Scenario = scenario.Scenario{
	Name: "results",
	Text: "kill -9 while results are fetched, stored, reconciled and deleted, at an API that fails now and then",
	Run:  runResults,
}

// A moment is a moment in the work on results. The gateway is killed in it.
type moment struct {
	step   string
	route  standin.Route // of the requests that it begins with
	answer cutAnswer     // to these requests
	burst  bool          // many webhooks are missed just before, and only requests about these count
	least  time.Duration // from the first of the requests to the kill
	more   time.Duration // at random, in addition
}

// A cutAnswer is how requests are answered until the gateway is killed.
type cutAnswer int

const (
	none  cutAnswer = iota // not at all, and they have no effect
	half                   // with half of the answer
	lost                   // not at all, and they have their effect
	whole                  // completely
)

// moments are all moments. Each has 2 kills with -size small, and 40 with large.
var moments = []moment{
	{step: "fetching", route: standin.GetTranscription, answer: none, more: 20 * time.Millisecond},
	{step: "fetching", route: standin.GetTranscript, answer: half, more: 20 * time.Millisecond},
	{step: "completing", route: standin.GetTranscript, answer: whole, more: 150 * time.Millisecond},
	// The look at the list begins within a second; other requests for the list may come before it.
	{step: "reconciling", route: standin.ListTranscriptions, answer: half, least: 1200 * time.Millisecond},
	{step: "reconciling", route: standin.GetTranscript, answer: whole, burst: true},
	{step: "deleting", route: standin.DeleteTranscription, answer: lost},
	{step: "deleting", route: standin.DeleteFile, answer: none},
	{step: "deleting", route: standin.DeleteFile, answer: lost},
}

const (
	// burstSize is the number of transcriptions that are stored at once while reconciling.
	burstSize = 100

	// backendDelay is the delay of a backend, so that some events wait at a kill.
	backendDelay = 40 * time.Millisecond

	// quietTime is how long nothing may be requested at the end, but the list: by two looks, and once for several
	// forged events.
	quietTime  = 1500 * time.Millisecond
	quietLists = 3

	// resultRecovery is the maximum time from the start of the process to the first delivery of a waiting event. If
	// both requests about the only waiting event have failed, it waits for 2 s.
	resultRecovery = scenario.PromisedRecovery + 2*time.Second
)

// A resultsRun kills a gateway again and again while it works on results.
type resultsRun struct {
	*gateway.Rig

	api  *providerAPI
	work *workload
	text string // of the Caddyfile

	kills    int
	inStore  int // kills while the missed webhooks of a burst were being stored
	recovery time.Duration
	measured int
}

func runResults(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	// The stand-in writes to connections of killed gateways.
	signal.Ignore(syscall.SIGPIPE)
	r, err := e.NewRig(ctx, "ehr", "audit")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	ehr, audit := r.Ledger.Backend("ehr"), r.Ledger.Backend("audit")
	api, err := newProviderAPI(ctx, func(id string) bool { return ehr.Has(resultEvent(id)) && audit.Has(resultEvent(id)) })
	if err != nil {
		return nil, err
	}
	defer api.close()
	k := &resultsRun{Rig: r, api: api, work: &workload{api: api, fleet: r.Fleet(), book: ledger.NewBook(), missed: ledger.NewBook(), all: make(map[string]recording)}}
	k.text = r.Caddyfile(gateway.Options{Soniox: "api_key " + standin.SonioxKey + "\napi_base " + api.url() + "\napi_rate 60000\nwebhook_url " + sonioxHook +
		"\nreconcile 1s\ndelete_after_delivery"})
	ehr.Behave(ledger.Behavior{Delay: backendDelay})
	audit.Behave(ledger.Behavior{RejectFirst: 1})
	ehr.Received, audit.Received = k.work.received, k.work.received
	row, err := k.run(ctx, e.Pick(2, 40))
	row.Fault = "kill -9 while results are fetched, stored, reconciled, deleted"
	return []table.Row{row}, err
}

// run kills the gateway at each moment so many times.
func (k *resultsRun) run(ctx context.Context, rounds int) (table.Row, error) {
	if err := k.Start(ctx, k.text); err != nil {
		return table.Row{}, err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	sending, abandon := context.WithCancel(ctx)
	var load sync.WaitGroup
	load.Go(func() { k.work.run(working, sending) })
	var failure error
	for n := 0; n < rounds*len(moments) && failure == nil; n++ {
		m := moments[n%len(moments)]
		if failure = k.cycle(ctx, m); failure != nil {
			failure = fmt.Errorf("%s, %s: %w", m.step, m.route, failure)
			abandon() // a gateway that has not started acknowledges nothing
		}
	}
	stop()
	load.Wait()
	abandon()
	k.api.beStrict()
	row, err := k.Settle(ctx, k.work.book, await.Patience)
	found, missedErr := k.Settle(ctx, k.work.missed, await.Patience)
	row.Lost += found.Lost
	row.Times, row.Recovery = k.kills, k.recovery
	err = errors.Join(failure, err, missedErr, k.firstLost(ctx))
	if err == nil {
		err = k.verdict(ctx)
	}
	s := k.api.spent()
	forgeries, delivered := k.work.count(forged, k.Ledger.Backend("ehr").Has)
	row.Note = fmt.Sprintf("missed webhooks: %s, delivered: %s; forged: %s, delivered: %s; requests per event: %.1f, at most %d; %s",
		table.Thousands(found.Acknowledged), table.Thousands(found.Delivered), table.Thousands(forgeries), table.Thousands(delivered),
		float64(s.requests)/float64(max(1, row.Acknowledged+found.Acknowledged+forgeries)), s.most, k.work.book.Others())
	return row, err
}

// firstLost returns an error that shows the state of an event that was not delivered, or nil if there is none.
func (k *resultsRun) firstLost(ctx context.Context) error {
	for _, b := range []*ledger.Book{k.work.book, k.work.missed} {
		if id, lost := k.Ledger.FirstLost(b); lost {
			var state json.RawMessage
			err := k.Call(ctx, http.MethodGet, "/scribegate/events/"+id, "", "", &state)
			return errors.Join(fmt.Errorf("the event %s was not delivered: %s", id, state), err)
		}
	}
	return nil
}

// cycle kills the gateway at a moment and restarts it.
func (k *resultsRun) cycle(ctx context.Context, m moment) error {
	if err := await.Sleep(ctx, 100*time.Millisecond+scenario.Random(300*time.Millisecond)); err != nil {
		return err
	}
	var only map[string]bool
	if m.burst {
		only = k.work.burst(burstSize)
	}
	select {
	case <-k.api.arm(m, only):
	case <-time.After(await.Patience):
		return fmt.Errorf("no such request came within %s; the gateway's last lines are:\n%s", await.Patience, k.Proc.Tail(10))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	time.Sleep(m.least + scenario.Random(m.more))
	if err := k.Kill(); err != nil {
		return err
	}
	k.kills++
	k.api.killed()
	if m.burst && k.api.unasked(only) > 0 {
		k.inStore++
	}
	// A backend may still accept a delivery of the killed gateway.
	if err := await.Sleep(ctx, backendDelay+10*time.Millisecond); err != nil {
		return err
	}
	w := k.Ledger.Watch(k.work.book)
	defer w.End()
	if err := k.Start(ctx, k.text); err != nil {
		return err
	}
	if w.Number == 0 {
		return nil
	}
	took, err := k.After(ctx, w.First, "the first delivery of a waiting event")
	k.measured++
	k.recovery = max(k.recovery, took)
	return err
}

// verdict waits until everything that was delivered is deleted at Soniox, and returns an error if something is wrong.
func (k *resultsRun) verdict(ctx context.Context) error {
	left, cleanups := 0, 0
	err := await.Eventually(ctx, "the deletions at the provider", func() (bool, error) {
		var err error
		if left, err = k.work.leftovers(); left > 0 || err != nil {
			return false, err
		}
		cleanups, err = k.cleanups(ctx) // one whose answer was cut off is repeated
		return cleanups == 0, err
	})
	if err != nil {
		return fmt.Errorf("%w; %d transcriptions or their files are left, and %d cleanups wait", err, left, cleanups)
	}
	if err := k.onlyForgedWait(ctx); err != nil {
		return err
	}
	before, listsBefore := k.api.about(), k.api.Count(standin.ListTranscriptions)
	if err := await.Sleep(ctx, quietTime); err != nil {
		return err
	}
	if n := k.api.about() - before; n > 0 {
		return fmt.Errorf("%d requests came for events that were delivered and cleaned up", n)
	}
	if n := k.api.Count(standin.ListTranscriptions) - listsBefore; n > quietLists {
		return fmt.Errorf("the list was requested %d times in %s, although it is looked at once a second", n, quietTime)
	}
	switch {
	case k.measured == 0:
		return errors.New("no event waited at any kill")
	case k.recovery > resultRecovery:
		return fmt.Errorf("delivery resumed only %.2f s after a start", k.recovery.Seconds())
	case k.inStore == 0:
		return errors.New("no kill came while missed webhooks were being stored")
	}
	return errors.Join(k.work.firstWrong(), k.api.firstWrong(), k.api.spent().over)
}

// cleanups returns the number of events whose results the gateway still has to delete.
func (k *resultsRun) cleanups(ctx context.Context) (int, error) {
	s, err := k.Status(ctx)
	n := 0
	for _, api := range s.APIs {
		n += api.Cleanups
	}
	if err == nil && len(s.APIs) == 0 {
		err = errors.New("the status shows no API of a provider")
	}
	return n, err
}

// onlyForgedWait returns an error if an event waits that is not forged.
func (k *resultsRun) onlyForgedWait(ctx context.Context) error {
	return k.EachEvent(ctx, "state=pending", func(e gateway.ListedEvent) error {
		k.work.mu.Lock()
		defer k.work.mu.Unlock()
		if k.work.all[e.ID].kind != forged {
			return fmt.Errorf("the event %s was delivered and is still pending", e.ID)
		}
		return nil
	})
}
