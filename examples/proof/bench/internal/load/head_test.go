package load

import (
	"bufio"
	"strings"
	"testing"
)

func TestReadHead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text  string
		want  head
		rest  string
		fails bool
	}{
		"an answer":            {text: "HTTP/1.1 200 OK\r\nServer: Caddy\r\nContent-Length: 5\r\nDate: d\r\n\r\nhello", want: head{status: 200, length: 5}, rest: "hello"},
		"without a body":       {text: "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", want: head{status: 503}},
		"a request":            {text: "POST /events HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nWebhook-Id: soapnoteapi-00112233445566778899aabbccddeeff\r\n\r\n{}", want: head{length: 2, delivery: 0x8899aabbccddeeff}, rest: "{}"},
		"a header without end": {text: "HTTP/1.1 200 OK\r\nServer: Caddy\r\n", fails: true},
		"nothing":              {text: "", fails: true},
		"chunked":              {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fails: true},
		"no number":            {text: "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", fails: true},
		"a negative number":    {text: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", fails: true},
		"no status":            {text: "HTTP/1.1 abc\r\n\r\n", want: head{}},
		"names as long":        {text: "HTTP/1.1 200 OK\r\nContent-Londth: 9\r\nWebhook-It: 8\r\nContent-Length: 1\r\n\r\n.", want: head{status: 200, length: 1}, rest: "."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := bufio.NewReader(strings.NewReader(tt.text))
			got, err := readHead(in)
			if (err != nil) != tt.fails {
				t.Fatalf("readHead() = %v", err)
			}
			if tt.fails {
				return
			}
			rest, _ := in.Peek(len(tt.rest))
			if got != tt.want || string(rest) != tt.rest {
				t.Errorf("readHead() = %+v, then %q; want %+v, then %q", got, rest, tt.want, tt.rest)
			}
		})
	}
}
