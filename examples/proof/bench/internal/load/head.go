package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// A head is the part of a request's or an answer's header that is needed.
type head struct {
	status   int    // of an answer
	length   int    // of the body
	delivery uint64 // half of the id in webhook-id; 0 if there is none
}

var errChunked = errors.New("a body has no length, which this client does not support")

// readHead reads the first line and the header of a request or an answer.
func readHead(in *bufio.Reader) (h head, err error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if bytes.HasPrefix(line, []byte("HTTP/1.1 ")) && len(line) > 12 {
		h.status, _ = strconv.Atoi(string(line[9:12])) // 0 if invalid, which no check expects
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		if len(line) <= 2 {
			return h, nil
		}
		if err := h.parse(line); err != nil {
			return h, err
		}
	}
}

// parse parses a line of the header. It compares the length of the name first, which is fast for
// most other lines.
func (h *head) parse(line []byte) (err error) {
	switch colon := bytes.IndexByte(line, ':'); {
	case colon == len("content-length") && bytes.EqualFold(line[:colon], []byte("content-length")):
		if h.length, err = strconv.Atoi(string(bytes.TrimSpace(line[colon+1:]))); err != nil || h.length < 0 {
			return fmt.Errorf("reading the length of a body: %w", errors.Join(err, strconv.ErrRange))
		}
	case colon == len("webhook-id") && bytes.EqualFold(line[:colon], []byte("webhook-id")):
		h.delivery = digits(line[colon+1:])
	case colon == len("transfer-encoding") && bytes.EqualFold(line[:colon], []byte("transfer-encoding")):
		return errChunked
	}
	return nil
}

// digits returns the last 16 hex digits of a value as a number, which is different for each id.
func digits(value []byte) (n uint64) {
	value = bytes.TrimSpace(value)
	for _, c := range value[max(0, len(value)-16):] {
		switch {
		case c >= '0' && c <= '9':
			n = n<<4 | uint64(c-'0')
		case c >= 'a' && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		}
	}
	return n
}
