package rest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The reasons for an invalid answer that is not what the API documents.
var (
	errJSON    = errors.New("the answer is not valid JSON")
	errMembers = errors.New("the answer lacks a member, or one has another type than documented")
	errWrongID = errors.New("the answer is about another id")

	errOtherCase = errors.New("the API knows the id in other letters only")
)

// CheckID returns the error for an answer about got to a request about want, or nil. An
// id that differs in case only is not known: the API ignores the case, events do not.
func CheckID(got, want string) error {
	switch {
	case got == want:
		return nil
	case strings.EqualFold(got, want):
		return errOtherCase
	}
	return errWrongID
}

// ErrMembers says that an answer lacks a member, or that one has another type than
// documented.
func ErrMembers() error { return errMembers }

// A Document reads a JSON answer as a stream. It is tolerant of all that the caller
// does not read, and its errors are fixed phrases.
type Document struct {
	dec  *jsontext.Decoder
	tape tape
}

// NewDocument returns a Document that reads r.
func NewDocument(r io.Reader) *Document {
	d := new(Document)
	d.tape.src = r
	d.dec = jsontext.NewDecoder(&d.tape, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	return d
}

// Object reads an object, and calls member for each member, which must read the value
// with one of the methods of d, or not at all.
func (d *Document) Object(member func(name string) error) error {
	if d.dec.PeekKind() != '{' {
		return d.wrongKind()
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return errJSON
	}
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadToken()
		if err != nil {
			return errJSON
		}
		at := d.dec.InputOffset()
		if err := member(name.String()); err != nil {
			return err
		}
		if d.dec.InputOffset() == at {
			if err := d.Skip(); err != nil {
				return err
			}
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return errJSON
	}
	return nil
}

// Array reads an array, and calls element for each element, which must read it.
func (d *Document) Array(element func() error) error {
	if d.dec.PeekKind() != '[' {
		return d.wrongKind()
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return errJSON
	}
	for d.dec.PeekKind() != ']' {
		if err := element(); err != nil {
			return err
		}
	}
	if _, err := d.dec.ReadToken(); err != nil {
		return errJSON
	}
	return nil
}

// Kind returns the kind of the next value: '{', '[', '"', '0', 't', 'f' or 'n'; 0 if it
// is not valid.
func (d *Document) Kind() byte { return byte(d.dec.PeekKind()) }

// Text returns a string, or "" for null.
func (d *Document) Text() (string, error) {
	switch d.dec.PeekKind() {
	case '"', 'n':
	default:
		return "", d.wrongKind()
	}
	t, err := d.dec.ReadToken()
	if err != nil {
		return "", errJSON
	}
	if t.Kind() == 'n' {
		return "", nil
	}
	return t.String(), nil
}

// Number returns an integer, and whether it is not null.
func (d *Document) Number() (n int64, ok bool, err error) {
	switch d.dec.PeekKind() {
	case '0', 'n':
	default:
		return 0, false, d.wrongKind()
	}
	t, err := d.dec.ReadToken()
	if err != nil {
		return 0, false, errJSON
	}
	if t.Kind() == 'n' {
		return 0, false, nil
	}
	if n, err = t.Int(); err != nil {
		return 0, false, errMembers
	}
	return n, true, nil
}

// Skip skips a value, of whatever size, without holding it.
func (d *Document) Skip() error {
	if err := d.dec.SkipValue(); err != nil {
		return errJSON
	}
	return nil
}

// AppendRaw appends a value as it was sent. Beside dst, it holds little of it.
func (d *Document) AppendRaw(dst []byte) ([]byte, error) {
	start := len(dst)
	base := d.dec.InputOffset()
	dst = append(dst, d.dec.UnreadBuffer()...)
	d.tape.kept, d.tape.on = dst, true
	err := d.dec.SkipValue()
	dst, d.tape.kept, d.tape.on = d.tape.kept, nil, false
	if err != nil {
		return dst[:start], errJSON
	}
	dst = dst[:start+int(d.dec.InputOffset()-base)]
	value := bytes.TrimLeft(dst[start:], " \t\r\n:,")
	if !utf8.Valid(value) {
		return dst[:start], errors.New("the answer is not valid UTF-8")
	}
	n := copy(dst[start:], value)
	return dst[:start+n], nil
}

// End checks that nothing follows the document.
func (d *Document) End() error {
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errJSON
	}
	return nil
}

// wrongKind returns the error for a value of another kind than expected, which may
// also be one that is not JSON or was cut off.
func (d *Document) wrongKind() error {
	if d.dec.PeekKind() == 0 {
		return errJSON
	}
	return errMembers
}

// A tape keeps what passes while it is on.
type tape struct {
	src  io.Reader
	on   bool
	kept []byte
}

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.src.Read(p)
	if !t.on {
		return n, err
	}
	if len(t.kept)+n > cap(t.kept) {
		if b, ok := t.src.(*body); ok {
			t.kept = slices.Grow(t.kept, n+b.remaining())
		}
	}
	t.kept = append(t.kept, p[:n]...)
	return n, err
}

// readErrorType returns the error_type of an error answer if it is a word, else "".
func readErrorType(r io.Reader) string {
	var word string
	d := NewDocument(r)
	err := d.Object(func(name string) (err error) {
		if name == "error_type" && d.Kind() == '"' {
			word, err = d.Text()
		}
		return err
	})
	if err != nil || !IsWord(word) {
		return ""
	}
	return word
}

// IsWord reports whether s is 1 to 64 ASCII letters, digits, dots, underscores and
// hyphens: the form of an error_type.
func IsWord(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
