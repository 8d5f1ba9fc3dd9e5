package soniox

import (
	"context"
	"iter"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// maxPages bounds a walk through the list: an account holds 2,000 transcriptions unless
// Soniox raises its limit.
const maxPages = 1000

// A Lister returns the pages of a list, as a Client does.
type Lister interface {
	List(ctx context.Context, cursor string) (page []Transcription, next string, err error)
}

// All returns all transcriptions, page by page. It ends with the first error.
func All(ctx context.Context, l Lister) iter.Seq2[Transcription, error] {
	return func(yield func(Transcription, error) bool) {
		cursor := ""
		for range maxPages {
			page, next, err := l.List(ctx, cursor)
			if err != nil {
				yield(Transcription{}, err)
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == cursor {
				break
			}
			cursor = next
		}
		yield(Transcription{}, rest.NewError(rest.InvalidAnswer, "GET "+pathList, "the list has no end"))
	}
}
