package soapnoteapi

import (
	"bytes"
	"io"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// readNote reads the answer about a note: the note itself.
func readNote(body io.Reader, noteID string) (n Note, err error) {
	d := rest.NewDocument(body)
	if d.Kind() != '{' {
		return n, rest.ErrMembers()
	}
	if n.JSON, err = d.AppendRaw(nil); err != nil {
		return n, err
	}
	if err := d.End(); err != nil {
		return n, err
	}
	inside := rest.NewDocument(bytes.NewReader(n.JSON))
	err = inside.Object(func(name string) (err error) {
		switch name {
		case "noteId", "note_id":
			err = checkID(inside, noteID)
		case "expires_at":
			if inside.Kind() == '"' {
				n.ExpiresAt, err = inside.Text()
			}
		}
		return err
	})
	return n, err
}
