package caddymodule

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A blabber is a backend that says all that it should keep to itself: words of
// its own, and whatever it was sent. It says it in every part of an answer, and in
// what is no answer. The request's path chooses where: its end,
// or what follows /api/.
type blabber struct {
	address string
	words   string

	mu         sync.Mutex
	well       bool     // says nothing any more, and takes what comes
	signatures []string // those that deliveries came with
	asked      map[string]int
}

// A blabbed request is what a blabber repeats, in one line.
type blabbed struct {
	line string // the request's first
	all  string // the words, query, signatures and body
}

// whole is an answer whose every part blabs.
func (b blabbed) whole(status string, fields ...string) string {
	return "HTTP/1.1 " + status + " " + b.all + "\r\nX-Error: " + b.all + "\r\nServer: " + b.all + "\r\nSet-Cookie: a=" + b.all +
		"\r\nWWW-Authenticate: " + b.all + "\r\n" + strings.Join(append(fields, ""), "\r\n") +
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(b.all), b.all)
}

// blabs are the answers by what stands last in the path. An answer that says
// nothing is none: the connection stays open, and silent.
var blabs = map[string]func(b blabbed) string{
	"failing":     func(b blabbed) string { return b.whole("500") },
	"refusing":    func(b blabbed) string { return b.whole("422") },
	"gone":        func(b blabbed) string { return b.whole("410") },
	"redirecting": func(b blabbed) string { return b.whole("308", "Location: /elsewhere?"+url.QueryEscape(b.all)) },
	"later":       func(b blabbed) string { return b.whole("503", "Retry-After: "+b.all) },
	"too-many":    func(b blabbed) string { return b.whole("429", "Retry-After: 3600", "Retry-After: "+b.all) },
	"hints":       func(b blabbed) string { return "HTTP/1.1 103 Hints\r\nLink: <" + b.all + ">\r\n\r\n" + b.whole("400") },
	// More than the answer's length says, and less.
	"more": func(b blabbed) string { return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + b.all },
	"none": func(b blabbed) string { return "HTTP/1.1 204 No Content\r\n\r\n" + b.all },
	"less": func(b blabbed) string { return "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b.all + hangUp },
	// What is not HTTP. A service that sends back what it gets is the first.
	"echo":        func(b blabbed) string { return b.line + "\r\n\r\n" + hangUp },
	"words":       func(b blabbed) string { return b.all + "\r\n\r\n" + hangUp },
	"status":      func(b blabbed) string { return "HTTP/1.1 " + b.all + "\r\n\r\n" + hangUp },
	"field":       func(b blabbed) string { return "HTTP/1.1 200 OK\r\n" + b.all + "\r\n\r\n" + hangUp },
	"first-field": func(b blabbed) string { return "HTTP/1.1 200 OK\r\n " + b.all + "\r\n\r\n" + hangUp },
	"length":      func(b blabbed) string { return "HTTP/1.1 200 OK\r\nContent-Length: " + b.all + "\r\n\r\n" + hangUp },
	"encoding":    func(b blabbed) string { return "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + b.all + "\r\n\r\n" + hangUp },
	"trailer-key": func(b blabbed) string {
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, " + b.all + "\r\n\r\n0\r\n\r\n" + hangUp
	},
	"chunk":   func(b blabbed) string { return chunkedAnswer + b.all + "\r\n" + hangUp },
	"trailer": func(b blabbed) string { return chunkedAnswer + "2\r\nok\r\n0\r\n" + b.all + "\r\n\r\n" + hangUp },
	"switching": func(b blabbed) string {
		return "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: " + b.all + "\r\n\r\n" + b.all + hangUp
	},
	"long-header": func(b blabbed) string {
		return "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: "+b.all+"\r\n", 200_000/len(b.all))
	},
	"endless":    func(b blabbed) string { return chunkedAnswer + strings.Repeat(chunk(b.all), 2_000_000/len(b.all)) },
	"hanging-up": func(blabbed) string { return hangUp },
	"silent":     func(blabbed) string { return "" },
}

const (
	chunkedAnswer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	hangUp        = "\x00hang up"
)

// theBlabs are the names, in one order.
var theBlabs = slices.Sorted(maps.Keys(blabs))

func newBlabber(t *testing.T, words string) *blabber {
	t.Helper()
	b := &blabber{words: words, asked: make(map[string]int)}
	b.address = b.listen(t, b.serve)
	return b
}

// listen serves connections until the test ends, and returns the address.
func (b *blabber) listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.Map
	t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(c, _ any) bool { return c.(net.Conn).Close() == nil || true })
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Store(c, nil)
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

// got notes a request and returns what is to be repeated of it.
func (b *blabber) got(r *http.Request, body []byte) blabbed {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[r.URL.Path]++
	signatures := r.Header.Get("Webhook-Signature")
	b.signatures = append(b.signatures, signatures)
	for _, values := range r.Header {
		signatures += " " + strings.Join(values, " ")
	}
	all := fmt.Sprint(b.words, " ", r.URL.RawQuery, " ", signatures, " ", string(body))
	return blabbed{
		line: fmt.Sprintf("%s %s HTTP/1.1", r.Method, r.RequestURI),
		all:  strings.NewReplacer("\r", " ", "\n", " ").Replace(all),
	}
}

func (b *blabber) recover() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.well = true
}

func (b *blabber) isWell() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.well
}

// times is how often a path was asked for.
func (b *blabber) times(path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[path]
}

func (b *blabber) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		r, err := http.ReadRequest(in)
		if err != nil {
			_, _ = io.WriteString(c, b.words) // such as to a TLS client
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		said := b.got(r, body)
		name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
		if path, isAPI := strings.CutPrefix(r.URL.Path, "/api/"); isAPI {
			name, _, _ = strings.Cut(path, "/")
		}
		answer, ok := blabs[name]
		switch {
		case b.isWell():
			answer = func(blabbed) string { return "HTTP/1.1 204 No Content\r\n\r\n" }
		case !ok:
			answer = blabs["failing"]
		}
		text, hang := strings.CutSuffix(answer(said), hangUp)
		if _, err := io.WriteString(c, text); err != nil || hang {
			return
		}
	}
}

// serveHTTP2 takes a request over HTTP/2 without TLS, and goes away with all that
// it has to say.
func (b *blabber) serveHTTP2(c net.Conn) {
	if _, err := io.CopyN(io.Discard, c, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(c, c)
	if f.WriteSettings() != nil {
		return
	}
	var body []byte
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		data, ok := frame.(*http2.DataFrame)
		if !ok {
			continue
		}
		if body = append(body, data.Data()...); !data.StreamEnded() {
			continue
		}
		said := b.got(&http.Request{URL: &url.URL{Path: "/http2"}}, body)
		_ = f.WriteGoAway(0, http2.ErrCodeInternal, []byte(said.all))
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
	}
}

// The types of FastCGI's records.
const (
	fastCGIEnd    = 3
	fastCGIParams = 4
	fastCGIStdin  = 5
	fastCGIStdout = 6
	fastCGIStderr = 7
)

// serveFastCGI takes a request over FastCGI, and says all that it has to say as its
// standard error and in its answer.
func (b *blabber) serveFastCGI(c net.Conn) {
	var sent []byte
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		content := make([]byte, binary.BigEndian.Uint16(head[4:]))
		if _, err := io.ReadFull(c, content); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, c, int64(head[6])); err != nil {
			return
		}
		if head[1] == fastCGIParams || head[1] == fastCGIStdin {
			sent = append(sent, content...)
		}
		if head[1] == fastCGIStdin && len(content) == 0 {
			break
		}
	}
	said := b.got(&http.Request{URL: &url.URL{Path: "/fastcgi"}}, sent)
	answer := fastCGIRecord(fastCGIStderr, said.all)
	answer = append(answer, fastCGIRecord(fastCGIStdout, "Status: 500\r\n\r\n"+said.all)...)
	_, _ = c.Write(append(answer, fastCGIRecord(fastCGIEnd, strings.Repeat("\x00", 8))...))
}

// fastCGIRecord is a record of the only request of a connection.
func fastCGIRecord(kind byte, content string) []byte {
	record := binary.BigEndian.AppendUint16([]byte{1, kind, 0, 1}, uint16(len(content)))
	return append(append(record, 0, 0), content...)
}

// Whatever a blabber answers holds what it should keep to itself, save for where
// it says nothing.
func TestBlabbersBlab(t *testing.T) {
	t.Parallel()
	for _, name := range theBlabs {
		said := blabs[name](blabbed{line: "POST /?SECRET HTTP/1.1", all: "SECRET"})
		if !strings.Contains(said, "SECRET") && name != "hanging-up" && name != "silent" {
			t.Errorf("%s says only %q", name, said)
		}
	}
}
