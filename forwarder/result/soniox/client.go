package soniox

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// DefaultBase is the address of Soniox's API in its first region.
const DefaultBase = "https://api.soniox.com"

// The bounds of the answers.
const (
	maxSmall      = 1 << 20
	maxTranscript = 64 << 20
	maxPage       = 64 << 20 // of which little is kept
)

// PageSize is the number of transcriptions on a page of the list.
const PageSize = 1000

// A Client sends requests to Soniox's API. Its errors are those of package rest.
type Client struct{ *rest.Client }

// New returns a Client for an account's project and region.
func New(o rest.Options) (Client, error) {
	if o.Base == "" {
		o.Base = DefaultBase
	}
	c, err := rest.New(o)
	return Client{c}, err
}

const (
	pathTranscription = "/v1/transcriptions/{id}"
	pathFile          = "/v1/files/{id}"
	pathList          = "/v1/transcriptions"
)

// Transcription returns what Soniox knows of a transcription.
func (c Client) Transcription(ctx context.Context, id string) (Transcription, error) {
	var t Transcription
	id = addressed(id)
	err := c.Do(ctx, rest.Request{Method: http.MethodGet, Path: pathTranscription, ID: id, Limit: maxSmall}, func(r io.Reader) (err error) {
		d := rest.NewDocument(r)
		var ok bool
		if t, ok, err = readTranscription(d); err != nil {
			return err
		}
		if t.ID == "" {
			t.ID = id // the answer is about what was asked for
		}
		switch {
		case !ok:
			return rest.ErrMembers()
		case t.ID != id:
			return rest.CheckID(t.ID, id)
		}
		return d.End()
	})
	return t, err
}

// A TranscriptRequest is a request for a transcript.
type TranscriptRequest struct {
	ID     string
	Tokens bool // whether the tokens are wanted too

	// Timeout bounds the request, without its wait for the rate limit; 0: no bound of its
	// own.
	Timeout time.Duration

	// Large is called when the answer is found to be larger than 1 MiB, and may wait,
	// so that few large answers are in memory at once; may be nil.
	Large func(context.Context) error
}

// AppendTranscript appends the JSON object of a transcript, with the members text and,
// where wanted, tokens as Soniox wrote them, to dst. Tokens that are not wanted are not
// held in memory.
func (c Client) AppendTranscript(ctx context.Context, dst []byte, r TranscriptRequest) ([]byte, error) {
	start := len(dst)
	id := addressed(r.ID)
	request := rest.Request{Method: http.MethodGet, Path: pathTranscription + "/transcript", ID: id, Limit: maxTranscript, Large: r.Large, Timeout: r.Timeout}
	err := c.Do(ctx, request, func(body io.Reader) (err error) {
		dst, err = appendTranscript(dst[:start], body, id, r.Tokens)
		return err
	})
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// List reads a page of the list of all transcriptions of the project, and returns the
// cursor of the next page, or "" after the last one. The cursor of the first page is
// "".
func (c Client) List(ctx context.Context, cursor string) (page []Transcription, next string, err error) {
	query := url.Values{"limit": {strconv.Itoa(PageSize)}}
	if cursor != "" {
		query.Set("cursor", cursor)
	}
	r := rest.Request{Method: http.MethodGet, Path: pathList, Query: query, Limit: maxPage}
	err = c.Do(ctx, r, func(body io.Reader) (err error) {
		page, next, err = readPage(rest.NewDocument(body))
		return err
	})
	return page, next, err
}

// DeleteTranscription deletes a transcription and its transcript. An unknown id is an
// error of the kind Unknown; one that is still processed is NotReady.
func (c Client) DeleteTranscription(ctx context.Context, id string) error {
	return c.delete(ctx, pathTranscription, id)
}

// DeleteFile deletes an uploaded file. An unknown id is an error of the kind Unknown.
func (c Client) DeleteFile(ctx context.Context, id string) error {
	return c.delete(ctx, pathFile, id)
}

func (c Client) delete(ctx context.Context, path, id string) error {
	return c.Do(ctx, rest.Request{Method: http.MethodDelete, Path: path, ID: addressed(id), Limit: maxSmall}, func(io.Reader) error { return nil })
}

// Counts are the numbers of objects that an account stores.
type Counts struct {
	Transcriptions int64
	Files          int64
}

// Count returns how many transcriptions and files the account stores.
func (c Client) Count(ctx context.Context) (n Counts, err error) {
	if n.Transcriptions, err = c.count(ctx, "/v1/transcriptions/count"); err != nil {
		return n, err
	}
	n.Files, err = c.count(ctx, "/v1/files/count")
	return n, err
}

func (c Client) count(ctx context.Context, path string) (total int64, err error) {
	err = c.Do(ctx, rest.Request{Method: http.MethodGet, Path: path, Limit: maxSmall}, func(body io.Reader) error {
		d, found := rest.NewDocument(body), false
		err := d.Object(func(name string) (err error) {
			if name == "total" {
				total, found, err = d.Number()
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case !found || total < 0:
			return rest.ErrMembers()
		}
		return d.End()
	})
	return total, err
}

// addressed returns an id for a URL. For one that cannot be an id, or that would name
// another endpoint, it returns one that package rest refuses as unknown.
func addressed(id string) string {
	if !IsID(id) || strings.EqualFold(id, "count") {
		return "."
	}
	return id
}

// IsID reports whether an id has the form of Soniox's ids: 1 to 128 ASCII letters,
// digits, underscores and hyphens.
func IsID(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}
