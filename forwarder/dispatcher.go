package forwarder

import (
	"context"
	crand "crypto/rand"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// closeGrace is how long Close waits for attempts that it has cancelled.
const closeGrace = 2 * time.Second

var errClosing = errors.New("the dispatcher is closing")

// ErrStuck says that attempts went on although they were cancelled.
var ErrStuck = errors.New("closing the dispatcher: attempts did not end when cancelled; their events stay in the queue")

// Options are the parameters of New.
type Options struct {
	Now     func() time.Time // default: time.Now
	Rand    func() float64   // in [0, 1), for the jitter; default: math/rand/v2
	Version string           // of Scribegate, for the User-Agent
}

// A Config has the upstreams of a Dispatcher, and its Observer.
type Config struct {
	Upstreams []Upstream   // with distinct names
	Observer  Observer     // may be nil
	Tracer    trace.Tracer // makes a span of each attempt at an event whose receipt was traced; may be nil
}

// A Dispatcher delivers events from a queue to their upstreams. Each upstream has a
// loop and slots of its own: a slow upstream never delays another.
type Dispatcher struct {
	queue    queue.Queue
	sharer   queue.PauseSharer // nil if no other node uses the queue
	node     string            // which nothing else is called, for the pauses
	options  Options
	observer atomic.Pointer[Observer]
	tracer   atomic.Pointer[trace.Tracer] // nil where attempts are not traced

	ctx    context.Context // of all attempts
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // loops and attempts

	workers *Workers // that make the attempts
	budget  budget   // of the bytes that they hold

	mu      sync.RWMutex
	closed  bool
	runners []*runner // in the order of the configuration
	pauses  queue.Pauses
}

// New returns a Dispatcher that claims deliveries from q. Its Wake becomes the
// queue's wake function. It delivers nothing before Apply.
func New(q queue.Queue, o Options) *Dispatcher {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	d := &Dispatcher{queue: q, options: o, workers: NewWorkers(), budget: budget{size: deliveryBudget}}
	d.ctx, d.cancel = context.WithCancelCause(context.Background())
	d.observe(nil)
	q.Notify(d.Wake)
	if s, ok := q.(queue.PauseSharer); ok {
		d.sharer, d.node = s, crand.Text()
		s.NotifyPauses(d.hear)
	}
	return d
}

// Apply replaces the whole configuration. It interrupts nothing: attempts in flight
// end by themselves, with the settings that they began with. No attempt begins at an
// upstream that is not in the new configuration. An upstream with the same name and
// Identity keeps its state, such as a pause. After Close, Apply does nothing.
func (d *Dispatcher) Apply(c Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.observe(c.Observer)
	d.traceWith(c.Tracer)

	old := make(map[string]*runner, len(d.runners))
	for _, r := range d.runners {
		old[r.name] = r
	}
	d.runners = make([]*runner, 0, len(c.Upstreams))
	for _, up := range c.Upstreams {
		s := newSettings(up)
		r := old[up.Name]
		if r != nil && r.identity() == up.Identity {
			delete(old, up.Name)
			r.configure(s)
		} else {
			r = d.start(s, r)
		}
		d.runners = append(d.runners, r)
	}
	for _, r := range old {
		r.retire()
	}
}

// start runs an upstream's loop, once its predecessor's has ended.
func (d *Dispatcher) start(s *settings, predecessor *runner) *runner {
	r := newRunner(d, s)
	r.follow(d.pauses.Of(r.key))
	d.work.Go(func() {
		if predecessor != nil {
			<-predecessor.ended
		}
		r.run()
		r.shareLast()
	})
	return r
}

// Wake has an upstream's loop ask the queue, since a delivery may have become due. It
// does not block.
func (d *Dispatcher) Wake(upstream string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, r := range d.runners {
		if r.name == upstream {
			r.wake()
		}
	}
}

// Probe probes a paused upstream at once, with the next event that is due. It also
// ends a pause that the upstream asked for with Retry-After. "" is every upstream. It
// does not block.
func (d *Dispatcher) Probe(upstream string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := d.options.Now()
	for _, r := range d.runners {
		if upstream == "" || r.name == upstream {
			r.probe(now)
		}
	}
}

// Close stops claiming deliveries and waits for the attempts in flight. When ctx ends
// first, it cancels them and releases their deliveries, as if they had not been
// tried. It returns ErrStuck if a Sender ignores the cancellation.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	for _, r := range d.runners {
		r.retire()
	}
	d.runners = nil
	d.mu.Unlock()

	done := make(chan struct{})
	go func() {
		d.work.Wait()
		close(done)
	}()
	defer d.cancel(errClosing)
	defer d.workers.Close()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}

	d.cancel(errClosing)
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-done:
		return nil
	case <-grace.C:
		return ErrStuck
	}
}

func (d *Dispatcher) observe(o Observer) {
	if o == nil {
		o = noObserver{}
	}
	d.observer.Store(&o)
}

// notify returns the observer to notify.
func (d *Dispatcher) notify() Observer { return *d.observer.Load() }

func (d *Dispatcher) traceWith(t trace.Tracer) {
	if t == nil {
		d.tracer.Store(nil)
		return
	}
	d.tracer.Store(&t)
}
