package main

import (
	"strconv"
	"strings"
)

// signatureLength is how many hex digits a signature has.
const signatureLength = 64

// signatureField is the header field whose value is each request's own.
const signatureField = "X-Soapnoteapi-Signature"

// A template is a whole request as it goes over the wire, with gaps for what is
// each request's own.
type template struct {
	wire      []byte
	id        int   // where the id's gap begins
	signature int   // where the signature's gap begins; -1 where there is none
	streams   []int // HTTP/2: where the numbers of the stream are
	payload   int   // HTTP/2: bytes that count for the flow control
}

// A field is a line of a request's header.
type field struct {
	name, value string
}

// http1 is a request in HTTP/1.1.
func http1(host, path string, header []field, b body) template {
	var t strings.Builder
	t.WriteString("POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(b.size()) + "\r\n")
	gap := -1
	for _, f := range header {
		t.WriteString(f.name + ": ")
		if f.name == signatureField {
			gap = t.Len()
		}
		t.WriteString(f.value + "\r\n")
	}
	t.WriteString("\r\n" + b.before)
	id := t.Len()
	t.WriteString(strings.Repeat("0", idLength) + b.after)
	return template{wire: []byte(t.String()), id: id, signature: gap}
}

// copied returns a template that shares nothing with t, for a connection to fill
// the gaps of.
func (t template) copied() template {
	t.wire = append([]byte(nil), t.wire...)
	return t
}

// fill writes into the gaps what is a request's own.
func (t template) fill(s *shot) {
	copy(t.wire[t.id:], s.id[:])
	if t.signature >= 0 {
		copy(t.wire[t.signature:], s.signature[:])
	}
}
