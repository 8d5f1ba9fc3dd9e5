package soniox

import (
	"bytes"
	"io"
	"strconv"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// The statuses of a transcription that is finished; it may also be queued or
// processing.
const (
	Completed = "completed"
	Failed    = "error"
)

// A Transcription is what Soniox knows of a transcription.
type Transcription struct {
	ID        string
	Status    string
	CreatedAt time.Time // zero if it is not known
	ErrorType string    // may be empty
	FileID    string    // may be empty

	// FileListed is whether the answer says which file the transcription has, if any.
	FileListed bool

	WebhookURL    string // with its query; may be empty
	WebhookStatus int    // what the webhook was answered; 0 if none was sent or answered

	// Members are the members of a JSON object, without braces, that describe the
	// result: created_at, model, audio_duration_ms, client_reference_id, error_type and
	// error_message, as Soniox wrote them. Those that are null, or of another type than
	// documented, are left out.
	Members []byte
}

// Finished reports whether the status cannot change any more.
func (t *Transcription) Finished() bool { return t.Status == Completed || t.Status == Failed }

// members are the names in Transcription.Members, with the kind of each.
var members = map[string]byte{
	"created_at":          '"',
	"model":               '"',
	"audio_duration_ms":   '0',
	"client_reference_id": '"',
	"error_type":          '"',
	"error_message":       '"',
}

// readTranscription reads the object of a transcription. It skips members that are not what
// they are documented to be. ok is false if it is not clear which transcription this is and
// in which status.
func readTranscription(d *rest.Document) (t Transcription, ok bool, err error) {
	var createdAt string
	var repeated bool
	seen := make(map[string]bool, 16)
	err = d.Object(func(name string) (err error) {
		if isRead(name) {
			if seen[name] { // which one is meant is not clear
				repeated = true
				return nil
			}
			seen[name] = true
		}
		switch name {
		case "id":
			t.ID, err = optional(d)
		case "status":
			t.Status, err = optional(d)
		case "file_id":
			t.FileListed = true
			t.FileID, err = optional(d)
		case "webhook_url":
			t.WebhookURL, err = optional(d)
		case "webhook_status_code":
			t.WebhookStatus, err = statusCode(d)
		default:
			if kind, kept := members[name]; !kept || d.Kind() != kind {
				return nil
			}
			var value []byte
			if value, err = t.appendMember(d, name); err != nil {
				return err
			}
			switch name {
			case "created_at":
				createdAt = text(value)
			case "error_type":
				t.ErrorType = text(value)
			}
		}
		return err
	})
	if err != nil {
		return t, false, err
	}
	if !IsID(t.FileID) {
		t.FileID = ""
	}
	t.CreatedAt, _ = time.Parse(time.RFC3339, createdAt) // else it stays zero
	return t, t.Status != "" && !repeated, nil
}

// optional returns a string, or "" for anything else.
func optional(d *rest.Document) (string, error) {
	if d.Kind() != '"' {
		return "", nil
	}
	return d.Text()
}

// statusCode returns a status, which may be written as a string, or 0 for anything else.
func statusCode(d *rest.Document) (int, error) {
	if d.Kind() == '"' {
		s, err := d.Text()
		n, _ := strconv.Atoi(s)
		return n, err
	}
	if d.Kind() != '0' {
		return 0, nil
	}
	raw, err := d.AppendRaw(nil)
	n, _ := strconv.Atoi(string(raw)) // 0 if it is not a whole number
	return n, err
}

// isRead reports whether a member is read, and not only skipped.
func isRead(name string) bool {
	switch name {
	case "id", "status", "file_id", "webhook_url", "webhook_status_code":
		return true
	}
	_, kept := members[name]
	return kept
}

// appendMember appends a member to Members, and returns its value.
func (t *Transcription) appendMember(d *rest.Document, name string) (value []byte, err error) {
	b := t.Members
	if len(b) > 0 {
		b = append(b, ',')
	}
	b = append(append(append(b, '"'), name...), '"', ':')
	start := len(b)
	if b, err = d.AppendRaw(b); err != nil {
		return nil, err
	}
	t.Members = b
	return b[start:], nil
}

// text returns a plain JSON string without its quotes. One with escapes is neither a
// time nor an error type.
func text(quoted []byte) string {
	s := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(s, '\\') >= 0 {
		return ""
	}
	return string(s)
}

// readPage reads a page of the list.
func readPage(d *rest.Document) (page []Transcription, next string, err error) {
	found := false
	err = d.Object(func(name string) (err error) {
		switch name {
		case "transcriptions":
			found = true
			return d.Array(func() error {
				if d.Kind() != '{' {
					return d.Skip()
				}
				t, ok, err := readTranscription(d)
				if ok && IsID(t.ID) { // else nothing can be done with it
					page = append(page, t)
				}
				return err
			})
		case "next_page_cursor":
			next, err = d.Text()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, "", err
	case !found || len(page) > maxEntries || len(next) > maxCursor:
		return nil, "", rest.ErrMembers()
	}
	return page, next, d.End()
}

// maxEntries bounds the entries of a page, which may be more than were asked for.
const maxEntries = 10 * PageSize

// maxCursor bounds a cursor, which becomes part of a URL.
const maxCursor = 4 << 10

// appendTranscript reads a transcript and appends it as an object.
func appendTranscript(dst []byte, r io.Reader, id string, tokens bool) ([]byte, error) {
	d := rest.NewDocument(r)
	var hasText, hasTokens bool
	dst = append(dst, '{')
	member := func(name string, kind byte, has *bool) (err error) {
		if d.Kind() != kind || *has {
			return rest.ErrMembers()
		}
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), '"', ':')
		dst, err = d.AppendRaw(dst)
		*has = true
		return err
	}
	err := d.Object(func(name string) error {
		switch name {
		case "id":
			got, err := optional(d)
			if err == nil && got != "" {
				err = rest.CheckID(got, id)
			}
			return err
		case "text":
			return member("text", '"', &hasText)
		case "tokens":
			if tokens && d.Kind() == '[' {
				return member("tokens", '[', &hasTokens)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return dst, err
	case !hasText:
		return dst, rest.ErrMembers()
	}
	return append(dst, '}'), d.End()
}
