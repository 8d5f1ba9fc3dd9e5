package result

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier/event"
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

// A completionAttempt is one attempt to complete an event.
type completionAttempt struct {
	work     *completing
	settings *Completion
	attempt  *attempt
	before   progress

	answer        answer
	err           error
	transcription soniox.Transcription // of a confirmed event; its zero value if only an earlier attempt knew it
	transcript    []byte
	holdsLarge    bool
}

// ask asks the API whether it confirms the event, and for the transcript.
func (c *completionAttempt) ask(ctx context.Context) {
	e := c.attempt.event
	t, asked, err := c.work.register.transcription(ctx, c.settings.API, e.ObjectID, c.before.confirmed)
	c.attempt.asked = asked
	if err != nil {
		c.fail(err, true)
		if c.answer.kind == rest.Unknown {
			c.answer.confirm = unknown
		}
		return
	}
	c.attempt.outcome.Status = 200
	if t.Status != statusOf(e) {
		c.answer.confirm = otherStatus
		return
	}
	c.transcription = t
	c.answer.confirm = confirmed
	if t.Status != soniox.Completed || c.settings.Fetch == FetchNone {
		return
	}

	c.attempt.asked = true
	transcript, err := c.settings.API.AppendTranscript(ctx, nil, soniox.TranscriptRequest{
		ID: e.ObjectID, Tokens: c.settings.Fetch == FetchTranscript, Large: c.acquireLarge,
	})
	if err != nil {
		c.answer.failed = true
		c.fail(err, false)
		return
	}
	c.transcript = transcript
}

// fail records an error of the API. One on confirming is the API's own; one on the
// transcript may be this transcript's alone.
func (c *completionAttempt) fail(err error, confirming bool) {
	c.err = err
	e, ok := errors.AsType[*rest.Error](err)
	if !ok { // the attempt was cancelled
		c.answer.kind = rest.Unreachable
		return
	}
	c.answer.kind, c.answer.typ, c.answer.hold = e.Kind, e.Type, e.RetryAfter
	c.attempt.outcome.Status = e.Status
	c.attempt.verdict = verdictOn(e)
	if !confirming && e.Status != 0 && e.Kind != rest.Unauthorized && e.Kind != rest.Quota && e.Kind != rest.RateLimited {
		c.attempt.verdict.Fault = false
	}
	if !confirming && e.Kind == rest.Timeout {
		c.attempt.verdict.Fault = false
	}
}

// settle decides what happens to the event.
func (c *completionAttempt) settle(e *event.Event, now time.Time) {
	a := c.attempt
	o := &a.outcome
	next := c.before.after(gap(a.delivery, o.At), o.Duration, c.answer, c.settings.FetchTimeout, now)
	o.State, o.Reason, o.Note = next.state, next.reason, next.progress.note()
	o.Result = resultOf(c.answer.kind, o.Status)
	if c.answer.confirm == otherStatus {
		o.Result = queue.Failure
	}
	a.err, a.word = c.err, c.word()
	switch next.state {
	case queue.Pending:
		o.Next = now.Add(next.wait)
	case queue.Delivered:
		a.unavailable = next.unavailable
		if a.unavailable == "" && c.transcription.Status == soniox.Failed && c.settings.Fetch != FetchNone {
			a.unavailable = failure(c.transcription.ErrorType)
		}
		completed := *e
		completed.Transcription = describe(c.transcription.Members, c.transcript, a.unavailable)
		o.Event, o.Retain = &completed, a.unavailable != ""
		c.work.register.forget(e.ObjectID)
	}
}

// word returns the outcome of the attempt, for the metric.
func (c *completionAttempt) word() Word {
	switch {
	case c.answer.confirm == otherStatus:
		return OtherStatus
	case c.answer.kind != "":
		return Word(c.answer.kind)
	}
	return Done
}

func (c *completionAttempt) acquireLarge(ctx context.Context) error {
	select {
	case large <- struct{}{}:
		c.holdsLarge = true
		c.attempt.after = append(c.attempt.after, c.release)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release lets the next large answer be read. It is called when the outcome is settled.
func (c *completionAttempt) release() {
	if c.holdsLarge {
		c.holdsLarge = false
		<-large
	}
}

// statusOf returns the status in which Soniox must know the transcription of an event.
func statusOf(e *event.Event) string {
	if e.ShortType() == "transcription.error" {
		return soniox.Failed
	}
	return soniox.Completed
}

// failure returns the word for the error type of a transcription that failed.
func failure(errorType string) string {
	if !rest.IsWord(errorType) {
		return string(rest.InvalidAnswer)
	}
	return errorType
}

// describe returns the JSON object that describes a result.
func describe(members, transcript []byte, unavailable string) []byte {
	const room = len(`{,"unavailable":"","transcript":}`)
	b := make([]byte, 0, len(members)+len(transcript)+len(unavailable)+room)
	b = append(append(b, '{'), members...)
	add := func(name string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), name...), '"', ':')
	}
	if len(transcript) > 0 {
		add("transcript")
		b = append(b, transcript...)
	}
	if unavailable != "" {
		add("unavailable")
		b = append(append(append(b, '"'), unavailable...), '"')
	}
	return append(b, '}')
}

// resultOf returns the result of an attempt as the history of an event shows it.
func resultOf(kind rest.Kind, status int) queue.Result {
	switch {
	case kind == "":
		return queue.Success
	case kind == rest.Timeout:
		return queue.Timeout
	case kind == rest.Unreachable && status == 0:
		return queue.ConnectError
	}
	return queue.Failure
}

// verdictOn returns what an error says about the API.
func verdictOn(e *rest.Error) pace.Verdict {
	v := pace.Verdict{Hold: e.RetryAfter}
	switch e.Kind {
	case rest.Unreachable, rest.Timeout, rest.Unauthorized, rest.Quota, rest.InvalidAnswer:
		v.Fault = true
	case rest.RateLimited:
		v.Fault = e.RetryAfter.IsZero()
	}
	return v
}

func (w *completing) idles() bool      { return true }
func (w *completing) needsEvent() bool { return true }

var _ work = (*completing)(nil)
