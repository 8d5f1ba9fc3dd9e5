package reload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Scenario loads configurations under load.
var Scenario = scenario.Scenario{
	Name: "reload",
	Text: "valid and invalid configurations, loaded one after the other under load",
	Run:  runReload,
}

// reloadEvery is the pause between two reloads.
const reloadEvery = 50 * time.Millisecond

func runReload(ctx context.Context, e *scenario.Env) ([]table.Row, error) {
	under, err := runReloadUnderLoad(ctx, e)
	orphans, orphanErr := runOrphans(ctx, e)
	return append(under, orphans...), errors.Join(err, orphanErr)
}

// A reloadRun is a run of reloads under load.
type reloadRun struct {
	*gateway.Rig
	configurations *configurations
	proxies        []*ledger.Proxy
	good, bad      int
	slowest        time.Duration
}

func runReloadUnderLoad(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr", "lab")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	l := &reloadRun{Rig: r}
	defer l.close()
	for _, b := range []string{"ehr", "lab"} {
		w, err := ledger.NewProxy(ctx, r.Ledger.Backend(b))
		if err != nil {
			return nil, err
		}
		l.proxies = append(l.proxies, w)
	}
	if l.configurations, err = newConfigurations(ctx, r, l.proxies[0].Address, l.proxies[1].Address); err != nil {
		return nil, err
	}
	if err := r.Start(ctx, l.configurations.good(0)); err != nil {
		return nil, err
	}
	if err := l.hold(ctx); err != nil {
		return nil, err
	}
	book := ledger.NewBook()
	times := e.Pick(40, 1000)

	// First load each kind once, without measuring.
	if err := l.underLoad(ctx, book, len(l.configurations.rejected)+2*goodKinds); err != nil {
		return nil, err
	}
	if _, err := r.Settle(ctx, book, await.Patience); err != nil {
		return nil, err
	}
	before, err := l.measureIdle(ctx, gateway.Footprint{})
	if err != nil {
		return nil, err
	}
	l.good, l.bad, l.slowest = 0, 0, 0
	if err := l.underLoad(ctx, book, times); err != nil {
		return nil, err
	}
	row, err := r.Settle(ctx, book, 30*time.Second)
	row.Fault, row.Times = "reload under load", l.good+l.bad
	if err != nil {
		return []table.Row{row}, err
	}
	after, err := l.measureIdle(ctx, before)
	if err != nil {
		return []table.Row{row}, err
	}
	row.Note = fmt.Sprintf("%d loaded, %d rejected, slowest %s; from %s to %s", l.good, l.bad, table.Milliseconds(l.slowest), before, after)
	if others := book.Others(); others != "" {
		row.Note += "; " + others
	}
	err = leftBehind(before, after)
	if err != nil {
		dump, dumpErr := r.GoroutineDump(ctx)
		err = errors.Join(fmt.Errorf("%w; the goroutines are:\n%s", err, dump), dumpErr)
	}
	return []table.Row{row}, errors.Join(l.check(ctx, book), err)
}

// hold sends the event that always waits.
func (l *reloadRun) hold(ctx context.Context) error {
	f := l.Fleet()
	c := f.Connect()
	defer c.Close()
	answer, outcome := f.Send(ctx, c, load.Post{Path: "/soapnote", Body: sender.NoteTest(time.Now())})
	if !load.Acknowledged(answer) {
		return fmt.Errorf("sending the event that always waits: %s", outcome)
	}
	return nil
}

// underLoad loads one configuration after the other, while requests with both secrets are sent.
func (l *reloadRun) underLoad(ctx context.Context, book *ledger.Book, times int) error {
	both := []load.Secrets{l.Secrets, l.configurations.former}
	loads := make([]*load.Load, 0, len(both))
	for _, secrets := range both {
		f := l.Fleet()
		f.Secrets, f.Senders, f.Rate, f.Again, f.Upstreams = secrets, 4, 300, true, []string{"ehr"}
		loads = append(loads, f.Start(ctx, book))
	}
	defer func() {
		for _, load := range loads {
			load.Stop()
		}
	}()
	for n := range times {
		if err := l.reload(ctx, n); err != nil {
			return err
		}
		time.Sleep(reloadEvery)
	}
	return nil
}

// reload loads the next configuration. Every third one must be rejected.
func (l *reloadRun) reload(ctx context.Context, n int) error {
	began := time.Now()
	defer func() { l.slowest = max(l.slowest, time.Since(began)) }()
	if n%3 != 2 {
		l.good++
		if err := l.Load(ctx, l.configurations.good(n-n/3)); err != nil {
			return fmt.Errorf("loading a good configuration: %w", err)
		}
		return nil
	}
	l.bad++
	bad := l.configurations.rejected[n/3%len(l.configurations.rejected)]
	err := l.Load(ctx, bad.caddyfile)
	if gateway.Answered(err, http.StatusBadRequest) {
		return nil
	}
	if err == nil {
		err = errors.New("it was loaded")
	}
	return fmt.Errorf("loading a configuration %s, which should be rejected: %w", bad.what, err)
}

// check returns the broken promises.
func (l *reloadRun) check(ctx context.Context, b *ledger.Book) error {
	var errs []error
	for _, w := range l.proxies {
		if n := w.Overlapping(); n > 0 {
			errs = append(errs, fmt.Errorf("%d times two deliveries of one event to %s were in progress at once: there are two dispatchers", n, w.Backend.Name))
		}
	}
	if n := l.configurations.intruder.Deliveries(); n > 0 {
		errs = append(errs, fmt.Errorf("rejected configurations made %d deliveries", n))
	}
	// Caddy closes idle connections when it reloads, and resets connections that it has not accepted yet when it
	// closes a listener.
	errs = append(errs, b.Only("200", ledger.Duplicate, ledger.Cut, ledger.Refused), l.allDelivered(ctx))
	return errors.Join(errs...)
}

// allDelivered checks that every delivery in the gateway's list was made. Only events that arrived while the lab was
// configured have one to the lab.
func (l *reloadRun) allDelivered(ctx context.Context) error {
	s, err := l.Status(ctx)
	if err != nil {
		return err
	}
	for _, u := range s.Upstreams {
		if u.Name == held {
			u.Pending--
		}
		if u.Pending+u.Dead > 0 || u.Orphaned {
			return fmt.Errorf("the upstream %s has %d pending and %d dead events (orphaned %v) after the load", u.Name, u.Pending, u.Dead, u.Orphaned)
		}
	}
	return l.EachEvent(ctx, "", func(ev gateway.ListedEvent) error {
		for _, d := range ev.Deliveries {
			if d.Upstream == held {
				continue
			}
			if b := l.Ledger.Backend(d.Upstream); b == nil || !b.Has(ev.ID) {
				return fmt.Errorf("the event %s is listed for %s as %s, but was not delivered there", ev.ID, d.Upstream, d.State)
			}
		}
		return nil
	})
}

func (l *reloadRun) close() {
	for _, w := range l.proxies {
		w.Close()
	}
	if l.configurations != nil {
		l.configurations.close()
	}
}
