package powercut

import (
	"bytes"
	"net/textproto"
	"strings"
)

// The starts of the gateway's answers and deliveries, and the text before the id in the answer for a stored event.
var (
	answering  = []byte("HTTP/1.1 200 ")
	received   = []byte(`{"received":true,"id":"`)
	delivering = []byte("POST ")
)

// recordTraffic records an answer to a provider, or a request to a backend.
func (r *Recording) recordTraffic(data []byte, at int) {
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

// header returns the value of a header field, or "".
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
