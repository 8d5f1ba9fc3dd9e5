package soapnoteapi

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// DefaultBase is the address of SOAPNoteAPI's API.
const DefaultBase = "https://api.soapnoteapi.com"

const (
	maxStatus = 1 << 20
	maxNote   = 32 << 20
)

// A Client sends requests to SOAPNoteAPI's API. Its errors are those of package rest.
type Client struct{ *rest.Client }

// New returns a Client.
func New(o rest.Options) (Client, error) {
	if o.Base == "" {
		o.Base = DefaultBase
	}
	c, err := rest.New(o)
	return Client{c}, err
}

// Status returns the status of a note in lower case, since the case of the API's words
// is not documented.
func (c Client) Status(ctx context.Context, noteID string) (status string, err error) {
	r := rest.Request{Method: http.MethodGet, Path: "/v1/audio/status/{id}", ID: known(noteID), Limit: maxStatus}
	err = c.Do(ctx, r, func(body io.Reader) error {
		d := rest.NewDocument(body)
		err := d.Object(func(name string) (err error) {
			switch name {
			case "status":
				status, err = d.Text()
			case "noteId", "note_id":
				err = checkID(d, noteID)
			}
			return err
		})
		if err != nil {
			return err
		}
		if status = strings.ToLower(status); !rest.IsWord(status) {
			return rest.ErrMembers()
		}
		return d.End()
	})
	if err != nil {
		return "", err
	}
	return status, nil
}

// A Note is a note as the API sent it.
type Note struct {
	JSON      []byte // the object, byte for byte
	ExpiresAt string // its expires_at; may be empty
}

// Note returns a note.
func (c Client) Note(ctx context.Context, noteID string) (Note, error) {
	var n Note
	r := rest.Request{Method: http.MethodGet, Path: "/v1/note/{id}", ID: known(noteID), Limit: maxNote}
	err := c.Do(ctx, r, func(body io.Reader) (err error) {
		n, err = readNote(body, noteID)
		return err
	})
	if err != nil {
		return Note{}, err
	}
	return n, nil
}

// known returns an id, or one that the client refuses for an id that is empty.
func known(id string) string {
	if id == "" {
		return "."
	}
	return id
}

// checkID checks the id in an answer.
func checkID(d *rest.Document, want string) error {
	got, err := d.Text()
	if err == nil {
		err = rest.CheckID(got, want)
	}
	return err
}
