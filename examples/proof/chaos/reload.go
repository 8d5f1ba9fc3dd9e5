package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

var reloadScenario = scenario{
	name: "reload",
	text: "valid and invalid configurations, loaded one after the other under load",
	run:  runReload,
}

// reloadEvery is the pause between two reloads.
const reloadEvery = 50 * time.Millisecond

func runReload(ctx context.Context, e *env) ([]result, error) {
	under, err := runReloadUnderLoad(ctx, e)
	orphans, orphanErr := runOrphans(ctx, e)
	return append(under, orphans...), errors.Join(err, orphanErr)
}

// A reloadRun is a run of reloads under load.
type reloadRun struct {
	*rig
	configurations *configurations
	proxies        []*proxy
	good, bad      int
	slowest        time.Duration
}

func runReloadUnderLoad(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr", "lab")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	l := &reloadRun{rig: r}
	defer l.close()
	for _, b := range []string{"ehr", "lab"} {
		w, err := newProxy(ctx, r.ledger.backend(b))
		if err != nil {
			return nil, err
		}
		l.proxies = append(l.proxies, w)
	}
	if l.configurations, err = newConfigurations(ctx, r, l.proxies[0].address, l.proxies[1].address); err != nil {
		return nil, err
	}
	if err := r.start(ctx, l.configurations.good(0)); err != nil {
		return nil, err
	}
	if err := l.hold(ctx); err != nil {
		return nil, err
	}
	book := newBook()
	times := e.pick(40, 1000)

	// First load each kind once, without measuring.
	if err := l.underLoad(ctx, book, len(l.configurations.rejected)+2*goodKinds); err != nil {
		return nil, err
	}
	if _, err := r.settle(ctx, book, patience); err != nil {
		return nil, err
	}
	before, err := l.measureIdle(ctx, footprint{})
	if err != nil {
		return nil, err
	}
	l.good, l.bad, l.slowest = 0, 0, 0
	if err := l.underLoad(ctx, book, times); err != nil {
		return nil, err
	}
	row, err := r.settle(ctx, book, 30*time.Second)
	row.fault, row.times = "reload under load", l.good+l.bad
	if err != nil {
		return []result{row}, err
	}
	after, err := l.measureIdle(ctx, before)
	if err != nil {
		return []result{row}, err
	}
	row.note = fmt.Sprintf("%d loaded, %d rejected, slowest %s; from %s to %s", l.good, l.bad, milliseconds(l.slowest), before, after)
	if others := book.others(); others != "" {
		row.note += "; " + others
	}
	err = leftBehind(before, after)
	if err != nil {
		dump, dumpErr := r.goroutineDump(ctx)
		err = errors.Join(fmt.Errorf("%w; the goroutines are:\n%s", err, dump), dumpErr)
	}
	return []result{row}, errors.Join(l.check(ctx, book), err)
}

// hold sends the event that always waits.
func (l *reloadRun) hold(ctx context.Context) error {
	f := l.fleet()
	c := f.connect()
	defer c.close()
	answer, outcome := f.send(ctx, c, post{path: "/soapnote", body: sender.NoteTest(time.Now())})
	if !acknowledged(answer) {
		return fmt.Errorf("sending the event that always waits: %s", outcome)
	}
	return nil
}

// underLoad loads one configuration after the other, while requests with both secrets are sent.
func (l *reloadRun) underLoad(ctx context.Context, book *book, times int) error {
	both := []secrets{l.secrets, l.configurations.former}
	loads := make([]*load, 0, len(both))
	for _, secrets := range both {
		f := l.fleet()
		f.secrets, f.senders, f.rate, f.again, f.upstreams = secrets, 4, 300, true, []string{"ehr"}
		loads = append(loads, f.start(ctx, book))
	}
	defer func() {
		for _, load := range loads {
			load.stop()
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
		if err := l.load(ctx, l.configurations.good(n-n/3)); err != nil {
			return fmt.Errorf("loading a good configuration: %w", err)
		}
		return nil
	}
	l.bad++
	bad := l.configurations.rejected[n/3%len(l.configurations.rejected)]
	err := l.load(ctx, bad.caddyfile)
	if answered(err, http.StatusBadRequest) {
		return nil
	}
	if err == nil {
		err = errors.New("it was loaded")
	}
	return fmt.Errorf("loading a configuration %s, which should be rejected: %w", bad.what, err)
}

// check returns the broken promises.
func (l *reloadRun) check(ctx context.Context, b *book) error {
	var errs []error
	for _, w := range l.proxies {
		if n := w.overlapping(); n > 0 {
			errs = append(errs, fmt.Errorf("%d times two deliveries of one event to %s were in progress at once: there are two dispatchers", n, w.backend.name))
		}
	}
	if n := l.configurations.intruder.deliveries(); n > 0 {
		errs = append(errs, fmt.Errorf("rejected configurations made %d deliveries", n))
	}
	// Caddy closes idle connections when it reloads, and resets connections that it has not accepted yet when it
	// closes a listener.
	errs = append(errs, b.only("200", duplicate, cut, refused), l.allDelivered(ctx))
	return errors.Join(errs...)
}

// allDelivered checks that every delivery in the gateway's list was made. Only events that arrived while the lab was
// configured have one to the lab.
func (l *reloadRun) allDelivered(ctx context.Context) error {
	s, err := l.status(ctx)
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
	return l.eachEvent(ctx, "", func(ev listedEvent) error {
		for _, d := range ev.Deliveries {
			if d.Upstream == held {
				continue
			}
			if b := l.ledger.backend(d.Upstream); b == nil || !b.has(ev.ID) {
				return fmt.Errorf("the event %s is listed for %s as %s, but was not delivered there", ev.ID, d.Upstream, d.State)
			}
		}
		return nil
	})
}

func (l *reloadRun) close() {
	for _, w := range l.proxies {
		w.close()
	}
	if l.configurations != nil {
		l.configurations.close()
	}
}
