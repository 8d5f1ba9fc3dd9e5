package result

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// A Fetch is how much of a result is fetched.
type Fetch string

// The values of the option fetch.
const (
	FetchTranscript Fetch = "transcript" // text and tokens
	FetchText       Fetch = "text"       // text without tokens
	FetchNone       Fetch = "none"       // the event is confirmed, no more
)

// DefaultFetchTimeout is how long the transcript of a confirmed event is asked for.
const DefaultFetchTimeout = time.Hour

// Completion are the settings of a stage that completes events.
type Completion struct {
	API          API
	Fetch        Fetch         // default: FetchTranscript
	FetchTimeout time.Duration // default: DefaultFetchTimeout
}

// A CompletionStage confirms the events of a provider and a source, and completes them
// with their results.
type CompletionStage struct {
	*Stage

	work *completing
}

// NewCompletion returns a CompletionStage. It starts at once.
func NewCompletion(q queue.Queue, provider, source string, c Completion, o Observer) *CompletionStage {
	w := new(completing)
	w.set(c)
	return &CompletionStage{newStage(q, queue.Completion(provider, source), w, o), w}
}

// Configure replaces the settings of later attempts, and the observer. It probes a paused
// API at once. Attempts in flight end by themselves.
func (s *CompletionStage) Configure(c Completion, o Observer) {
	s.work.set(c)
	s.observe(o)
	s.Probe()
}

// large is held while an answer of more than 1 MiB is in memory: there is one in the
// process at a time, so that memory stays bounded whatever the number of stages.
var large = make(chan struct{}, 1)

// completing is the work of a completion.
type completing struct {
	settings atomic.Pointer[Completion]
	register register
}

func (w *completing) set(c Completion) {
	if c.Fetch == "" {
		c.Fetch = FetchTranscript
	}
	if c.FetchTimeout <= 0 {
		c.FetchTimeout = DefaultFetchTimeout
	}
	w.settings.Store(&c)
}

// attempt asks the API for the event of a delivery.
func (w *completing) attempt(ctx context.Context, a *attempt) {
	s := w.settings.Load()
	e := a.event
	before := progressOf(a.delivery)
	c := completionAttempt{work: w, settings: s, attempt: a, before: before}
	c.ask(ctx)
	if ctx.Err() != nil {
		return
	}
	c.settle(e, a.finish())
}

// idle settles what needs no request while the API is away, for the reason cause: a
// confirmed event goes on waiting, or its time is over. It returns false if the event has
// to wait for the API.
func (w *completing) idle(d queue.Delivery) bool { return progressOf(d).confirmed }

// expire is an attempt that makes no request.
func (w *completing) expire(a *attempt, cause error) {
	c := completionAttempt{work: w, settings: w.settings.Load(), attempt: a, before: progressOf(a.delivery)}
	if t, ok := w.register.find(a.event.ObjectID, true); ok {
		c.transcription = t
	}
	c.answer = answer{kind: rest.KindOf(cause), failed: true}
	c.err = cause
	if e, ok := errors.AsType[*rest.Error](cause); ok {
		c.answer.typ = e.Type
		a.outcome.Status = e.Status
	}
	c.settle(a.event, a.finish())
}

func (w *completing) idles() bool      { return true }
func (w *completing) needsEvent() bool { return true }

var _ work = (*completing)(nil)
