package recovery

import (
	"context"
	"errors"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// A Result is the result of a recovery by hand. Its ids are the provider's: those of
// transcriptions or notes.
type Result struct {
	Recovered []string  `json:"recovered"` // their events were stored or, in a dry run, would be
	Known     []string  `json:"known"`     // the store has their events
	Failed    []Failure `json:"failed"`

	Pruned  []string `json:"pruned,omitempty"`  // they were deleted at the provider or, in a dry run, would be
	Waiting []string `json:"waiting,omitempty"` // they were not deleted, since the store waits for something of them
}

// A Failure is why something could not be recovered or pruned.
type Failure struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// newResult returns a Result whose lists are empty instead of null in JSON.
func newResult() Result {
	return Result{Recovered: []string{}, Known: []string{}, Failed: []Failure{}}
}

func (r *Result) fail(id, reason string) { r.Failed = append(r.Failed, Failure{id, reason}) }

// patience has the waits before a request by hand is sent again.
var patience = []time.Duration{time.Second, 5 * time.Second}

// maxRetryAfter bounds the wait that a request by hand accepts.
const maxRetryAfter = time.Minute

// patiently calls f, and again if the API is busy or away for a moment.
func patiently(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		e, ok := errors.AsType[*rest.Error](err)
		if !ok || e.Kind != rest.RateLimited && e.Kind != rest.Unreachable || try == len(patience) {
			return err
		}
		wait := patience[try]
		if !e.RetryAfter.IsZero() {
			wait = max(wait, time.Until(e.RetryAfter))
		}
		if wait > maxRetryAfter {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// isAPIs reports whether an error is the API's and not that of one object, so that the
// next object would meet it too.
func isAPIs(err error) bool {
	kind := rest.KindOf(err)
	return kind != rest.Unknown && kind != rest.NotReady && kind != rest.InvalidAnswer
}
