package verifier

import (
	"bytes"
	"errors"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/scribegate/scribegate/verifier/event"
)

// maxDepth is how deep a payload may be nested, the outermost object being the
// first level. It is the limit of package jsontext.
const maxDepth = 10_000

// An envelope reads the members of a payload's outermost object, in one pass.
//
// It is strict where two parsers could read two different events from one body:
// the body must be UTF-8 and have nothing behind the object, and names, compared
// as they decode, must not be repeated. The members' values only have to be JSON:
// repeated names and halves of surrogate pairs are allowed there, so that a text
// that was cut in the middle of an emoji does not cost a patient's note.
//
// Its errors are of type *PayloadError and consist of fixed phrases.
type envelope struct {
	body []byte
	src  bytes.Buffer // the body, for the decoder
	dec  jsontext.Decoder
	seen names
}

// envelopes holds closed envelopes for reuse.
var envelopes = sync.Pool{New: func() any { return new(envelope) }}

// lenient is what is allowed inside the members' values.
var lenient = []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}

// openEnvelope returns an envelope of body. The caller closes it, and keeps only
// strings and spans that it returned.
func openEnvelope(body []byte) (*envelope, error) {
	if !utf8.Valid(body) {
		return nil, invalid("not valid UTF-8")
	}
	if first := bytes.TrimLeft(body, jsonSpace); len(first) == 0 || first[0] != '{' {
		return nil, invalid("not a JSON object")
	}
	e := envelopes.Get().(*envelope)
	e.open(body)
	if _, err := e.dec.ReadToken(); err != nil {
		defer e.close()
		return nil, e.syntax(err)
	}
	return e, nil
}

func (e *envelope) open(body []byte) {
	e.body, e.seen = body, names{}
	e.src = *bytes.NewBuffer(body)
	e.dec.Reset(&e.src, lenient...)
}

// close releases the envelope, which keeps nothing of the body.
func (e *envelope) close() {
	e.open(nil)
	envelopes.Put(e)
}

const jsonSpace = " \t\r\n"

// next returns the name of the next member, which is valid until the next call.
// The caller must read its value next. After the last member ok is false, and all
// of the body has been checked.
func (e *envelope) next() (name []byte, ok bool, err error) {
	if e.dec.PeekKind() == '}' {
		if _, err := e.dec.ReadToken(); err != nil {
			return nil, false, e.syntax(err)
		}
		if rest := e.body[e.dec.InputOffset():]; len(bytes.Trim(rest, jsonSpace)) > 0 {
			return nil, false, invalid("data after the object")
		}
		return nil, false, nil
	}
	quoted, err := e.dec.ReadValue()
	if err != nil {
		return nil, false, e.syntax(err)
	}
	name, err = unquote(quoted)
	if err != nil {
		return nil, false, invalid("a member's name is not valid Unicode")
	}
	if !e.seen.add(name) {
		return nil, false, invalid("a member's name is repeated")
	}
	return name, true, nil
}

// value reads the value of a member and returns its place in the body.
func (e *envelope) value() (event.Span, error) {
	v, err := e.dec.ReadValue()
	if err != nil {
		return event.Span{}, e.syntax(err)
	}
	end := int(e.dec.InputOffset())
	return event.Span{Start: end - len(v), End: end}, nil
}

// text returns the value of the member called name, which must be a non-empty
// string.
func (e *envelope) text(name string) (string, error) {
	v, err := e.dec.ReadValue()
	if err != nil {
		return "", e.syntax(err)
	}
	if v.Kind() != '"' {
		return "", invalid(name + " is not a string")
	}
	s, err := unquote(v)
	if err != nil {
		return "", invalid(name + " is not valid Unicode")
	}
	if len(s) == 0 {
		return "", invalid(name + " is empty")
	}
	return string(s), nil
}

// object reads the value of a member as value does, and reports whether it is an
// object. Of an object it also returns the first member called name whose value is
// a string that accept accepts.
func (e *envelope) object(name string, accept func(string) bool) (at event.Span, found string, isObject bool, err error) {
	if e.dec.PeekKind() != '{' {
		at, err = e.value()
		return at, "", false, err
	}
	if _, err := e.dec.ReadToken(); err != nil {
		return at, "", true, e.syntax(err)
	}
	at.Start = int(e.dec.InputOffset()) - 1
	for e.dec.PeekKind() != '}' {
		quoted, err := e.dec.ReadValue()
		if err != nil {
			return at, "", true, e.syntax(err)
		}
		wanted := false
		if found == "" {
			s, err := unquote(quoted)
			wanted = err == nil && string(s) == name
		}
		v, err := e.dec.ReadValue()
		if err != nil {
			return at, "", true, e.syntax(err)
		}
		if wanted && v.Kind() == '"' {
			if s, err := unquote(v); err == nil && accept(string(s)) {
				found = string(s)
			}
		}
	}
	if _, err := e.dec.ReadToken(); err != nil {
		return at, "", true, e.syntax(err)
	}
	at.End = int(e.dec.InputOffset())
	return at, found, true, nil
}

// syntax returns the error for JSON that the decoder rejects. The decoder's own
// error quotes the body.
func (e *envelope) syntax(err error) error {
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok && e.opens(s.ByteOffset) && e.depth(s.ByteOffset) >= maxDepth {
		return invalid("nested too deeply")
	}
	return invalid("malformed JSON")
}

// opens reports whether an array or object begins at an offset of the body.
func (e *envelope) opens(offset int64) bool {
	return offset < int64(len(e.body)) && (e.body[offset] == '{' || e.body[offset] == '[')
}

// depth returns how many arrays and objects are open at an offset of the body,
// which must be JSON up to there.
func (e *envelope) depth(offset int64) int {
	depth, inString := 0, false
	for i := 0; i < len(e.body) && int64(i) < offset; i++ {
		switch c := e.body[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
	}
	return depth
}

// unquote decodes a JSON string. Half of a surrogate pair in it is an error. The
// result may be a part of quoted.
func unquote(quoted []byte) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	return jsontext.AppendUnquote(nil, quoted)
}

func invalid(what string) error { return &PayloadError{What: what} }
