package result

import (
	"context"
	"errors"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier/event"
)

// minTranscriptTime is how long a transcript may take in any case, also at the last attempt
// before fetch_timeout is over.
const minTranscriptTime = 2 * time.Second

// A completionAttempt is one attempt to complete an event.
type completionAttempt struct {
	work     *completing
	settings *Completion
	attempt  *attempt
	before   progress

	answer        answer
	err           error
	transcription soniox.Transcription // of a confirmed event; its zero value if only an earlier attempt knew it
	described     []byte               // the result with its transcript
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
		c.work.register.forget(e.ObjectID) // so that the API is asked again
		c.answer.confirm = otherStatus
		return
	}
	c.transcription = t
	c.answer.confirm = confirmed
	if t.Status != soniox.Completed || c.settings.Fetch == FetchNone {
		return
	}

	c.attempt.asked = true
	described, err := c.settings.API.AppendTranscript(ctx, openResult(t.Members, "transcript"), soniox.TranscriptRequest{
		ID: e.ObjectID, Tokens: c.settings.Fetch == FetchTranscript, Large: c.acquireLarge,
		Timeout: max(minTranscriptTime, c.settings.FetchTimeout-c.before.elapsed),
	})
	if err != nil {
		c.answer.failed = true
		c.fail(err, false)
		return
	}
	c.described = append(described, '}')
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
	if next.state == queue.Pending {
		o.Next = now.Add(next.wait)
	}
	if next.state == queue.Delivered {
		a.unavailable = next.unavailable
		if a.unavailable == "" && c.transcription.Status == soniox.Failed && c.settings.Fetch != FetchNone {
			a.unavailable = failure(c.transcription.ErrorType)
		}
		completed := *e
		if completed.Transcription = c.described; completed.Transcription == nil {
			completed.Transcription = describe(c.transcription.Members, a.unavailable)
		}
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
