package result

import (
	"context"

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
