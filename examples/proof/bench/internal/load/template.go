package load

import (
	"strconv"
	"strings"
)

// signatureLength is the number of hex digits of a signature.
const signatureLength = 64

// signatureField is the header field whose value differs between requests.
const signatureField = "X-Soapnoteapi-Signature"

// A template is the bytes of a whole request, with gaps for the id and the signature.
type template struct {
	wire      []byte
	id        int   // offset of the id
	signature int   // offset of the signature; -1 if there is none
	streams   []int // HTTP/2: offsets of the stream number
	payload   int   // HTTP/2: bytes that count for flow control
}

// A field is a header field.
type field struct {
	name, value string
}

// http1 returns a request in HTTP/1.1.
func http1(host, path string, header []field, b body) template {
	var t strings.Builder
	t.WriteString("POST " + path + " HTTP/1.1\r\nHost: " + host + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(b.Size()) + "\r\n")
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

// copied returns a copy of t, in which a connection can fill the gaps.
func (t template) copied() template {
	t.wire = append([]byte(nil), t.wire...)
	return t
}

// fill writes the id and the signature of a request into the gaps.
func (t template) fill(s *prepared) {
	copy(t.wire[t.id:], s.id[:])
	if t.signature >= 0 {
		copy(t.wire[t.signature:], s.signature[:])
	}
}
