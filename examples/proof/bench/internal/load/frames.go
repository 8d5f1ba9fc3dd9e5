package load

import (
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
)

const (
	frameHeader = 9
	maxFrame    = 16 << 10 // the size of a frame that every HTTP/2 server accepts
)

// Numbers of HPACK's static table, RFC 7541, appendix A.
const (
	hpackAuthority     = 1
	hpackMethodPost    = 3
	hpackPath          = 4
	hpackSchemeHTTPS   = 7
	hpackContentLength = 28
	hpackContentType   = 31
)

// frames returns a request in HTTP/2: a HEADERS frame, and as many DATA frames as the body
// needs. The header uses neither the dynamic table nor Huffman codes, so that the id and the
// signature are at the same offsets in each request.
func frames(authority, path string, header []field, b body) template {
	block := []byte{0x80 | hpackMethodPost, 0x80 | hpackSchemeHTTPS}
	block = indexed(block, hpackAuthority, authority)
	block = indexed(block, hpackPath, path)
	block = indexed(block, hpackContentType, "application/json")
	block = indexed(block, hpackContentLength, strconv.Itoa(b.Size()))
	gap := -1
	for _, f := range header {
		block = literal(append(block, 0), strings.ToLower(f.name))
		block = literal(block, f.value)
		if f.name == signatureField {
			gap = frameHeader + len(block) - signatureLength
		}
	}
	t := template{signature: gap, payload: b.Size()}
	t.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, block)
	payload := []byte(b.before + strings.Repeat("0", idLength) + b.after)
	fromEnd := idLength + len(b.after)
	for len(payload) > maxFrame {
		// The id is not split: it is in the last frame.
		n := min(maxFrame, len(payload)-fromEnd)
		t.frame(http2.FrameData, 0, payload[:n])
		payload = payload[n:]
	}
	t.frame(http2.FrameData, http2.FlagDataEndStream, payload)
	t.id = len(t.wire) - fromEnd
	return t
}

// frame appends a frame and records the offset of its stream number.
func (t *template) frame(kind http2.FrameType, flags http2.Flags, payload []byte) {
	n := len(payload)
	t.wire = append(t.wire, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags))
	t.streams = append(t.streams, len(t.wire))
	t.wire = append(t.wire, 0, 0, 0, 0)
	t.wire = append(t.wire, payload...)
}

// number sets the stream number of all frames.
func (t template) number(stream uint32) {
	for _, at := range t.streams {
		binary.BigEndian.PutUint32(t.wire[at:], stream)
	}
}

// indexed appends a field whose name is in the static table, without adding it to the dynamic
// table.
func indexed(block []byte, name byte, value string) []byte {
	const most = 15 // larger numbers need a second byte
	if name < most {
		return literal(append(block, name), value)
	}
	return literal(append(block, most, name-most), value)
}

// literal appends a string of fewer than 127 bytes without compression.
func literal(block []byte, s string) []byte {
	return append(append(block, byte(len(s))), s...)
}
