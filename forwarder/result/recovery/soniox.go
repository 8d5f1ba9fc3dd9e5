package recovery

import (
	"context"
	"errors"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

// Soniox recovers the transcriptions of a handler by hand, as a Reconciler does.
type Soniox struct {
	API        SonioxAPI
	WebhookURL string // the handler's address; its query is ignored
	DryRun     bool   // nothing is stored or deleted
}

// A SonioxAPI is what is needed of Soniox's API. A soniox.Client is one.
type SonioxAPI interface {
	soniox.Lister
	DeleteTranscription(ctx context.Context, id string) error
	DeleteFile(ctx context.Context, id string) error
}

var _ SonioxAPI = soniox.Client{}

// errAddress says that there is no address to compare with.
var errAddress = errors.New("webhook_url is not a URL: set it to the handler's address as Soniox was given it")

// Recover stores the events of transcriptions that were created since a time and whose
// webhook did not arrive. It returns an error if the list could not be read; what was done
// until then is in the result.
func (s Soniox) Recover(ctx context.Context, since time.Time, events Events) (Result, error) {
	r := newResult()
	at, _, ok := addressOf(s.WebhookURL)
	if !ok {
		return r, errAddress
	}
	for t, err := range soniox.All(ctx, patient{s.API}) {
		if err != nil {
			return r, err
		}
		query, ok := missed(t, at, since)
		if !ok {
			continue
		}
		taken, err := events.take(ctx, t, query, s.DryRun)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case err != nil:
			r.fail(t.ID, err.Error())
		case taken:
			r.Recovered = append(r.Recovered, t.ID)
		default:
			r.Known = append(r.Known, t.ID)
		}
	}
	return r, nil
}

// A patient list asks for a page again if the API is busy or away for a moment.
type patient struct{ soniox.Lister }

func (p patient) List(ctx context.Context, cursor string) (page []soniox.Transcription, next string, err error) {
	err = patiently(ctx, func() error {
		page, next, err = p.Lister.List(ctx, cursor)
		return err
	})
	return page, next, err
}

// Prune deletes finished transcriptions of the handler that were created before a time,
// and their files unless another transcription has them. waits reports whether the store
// waits for something of a transcription: those are kept. progress is called from time to
// time and may be nil.
//
// It returns an error if the list could not be read, or if the API refuses or is away;
// what was done until then is in the result.
func (s Soniox) Prune(ctx context.Context, before time.Time, waits func(ctx context.Context, id string) (bool, error), progress func(done, total int)) (Result, error) {
	r := newResult()
	at, _, ok := addressOf(s.WebhookURL)
	if !ok {
		return r, errAddress
	}
	var old []soniox.Transcription
	uses := make(map[string]int)
	for t, err := range soniox.All(ctx, patient{s.API}) {
		if err != nil {
			return r, err
		}
		if t.FileID != "" {
			uses[t.FileID]++
		}
		if sentTo, _, ok := addressOf(t.WebhookURL); ok && sentTo == at && t.Finished() && t.CreatedAt.Before(before) && !t.CreatedAt.IsZero() {
			old = append(old, soniox.Transcription{ID: t.ID, FileID: t.FileID})
		}
	}
	for i, t := range old {
		waiting, err := waits(ctx, t.ID)
		switch {
		case err != nil:
			r.fail(t.ID, err.Error())
		case waiting:
			r.Waiting = append(r.Waiting, t.ID)
		case s.DryRun:
			r.Pruned = append(r.Pruned, t.ID)
		default:
			if err := s.delete(ctx, t, uses); err != nil {
				if isAPIs(err) {
					return r, err
				}
				r.fail(t.ID, err.Error())
				break
			}
			r.Pruned = append(r.Pruned, t.ID)
		}
		if progress != nil {
			progress(i+1, len(old))
		}
	}
	return r, nil
}

// delete deletes a transcription, and its file with the last transcription that has it.
func (s Soniox) delete(ctx context.Context, t soniox.Transcription, uses map[string]int) error {
	err := patiently(ctx, func() error { return s.API.DeleteTranscription(ctx, t.ID) })
	if err != nil && rest.KindOf(err) != rest.Unknown {
		return err
	}
	if t.FileID == "" {
		return nil
	}
	if uses[t.FileID]--; uses[t.FileID] > 0 {
		return nil
	}
	err = patiently(ctx, func() error { return s.API.DeleteFile(ctx, t.FileID) })
	if rest.KindOf(err) == rest.Unknown {
		return nil
	}
	return err
}
