package powercut

import (
	"bytes"
	"net/textproto"
	"strings"
)

// What the gateway begins its answers and its deliveries with, and what says
// that an event is stored; the rest of the answer is the event's id.
var (
	answering  = []byte("HTTP/1.1 200 ")
	received   = []byte(`{"received":true,"id":"`)
	delivering = []byte("POST ")
)

// overhear notes what the process says to a provider or to a backend.
func (r *Recording) overhear(data []byte, at int) {
	switch {
	case bytes.HasPrefix(data, answering):
		_, rest, ok := bytes.Cut(data, received)
		if id, _, whole := bytes.Cut(rest, []byte{'"'}); ok && whole {
			r.Answers = append(r.Answers, Answer{ID: string(id), At: at})
		}
	case bytes.HasPrefix(data, delivering):
		q := Request{Host: header(data, "Host"), ID: header(data, "Webhook-Id"), At: at}
		if q.ID != "" {
			r.Requests = append(r.Requests, q)
		}
	}
}

// header returns a header's value, or "".
func header(data []byte, name string) string {
	head, _, _ := strings.Cut(string(data), "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		key, value, _ := strings.Cut(line, ":")
		if textproto.CanonicalMIMEHeaderKey(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
