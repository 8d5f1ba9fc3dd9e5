package result

import (
	"context"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

// An API is what the stages need of Soniox's API. A soniox.Client is one.
type API interface {
	Transcription(ctx context.Context, id string) (soniox.Transcription, error)
	AppendTranscript(ctx context.Context, dst []byte, r soniox.TranscriptRequest) ([]byte, error)
	List(ctx context.Context, cursor string) (page []soniox.Transcription, next string, err error)
	DeleteTranscription(ctx context.Context, id string) error
	DeleteFile(ctx context.Context, id string) error

	// Ready reports whether a request need not wait for the rate limit.
	Ready() bool
}

var _ API = soniox.Client{}

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
	case rest.Unknown, rest.NotReady: // these are answers
	}
	return v
}
