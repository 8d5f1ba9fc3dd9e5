package caddymodule

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// A change makes another request out of one that a provider would send.
type change func(r *http.Request)

func method(m string) change          { return func(r *http.Request) { r.Method = m } }
func set(name, value string) change   { return func(r *http.Request) { r.Header.Set(name, value) } }
func without(name string) change      { return func(r *http.Request) { r.Header.Del(name) } }
func again(name, value string) change { return func(r *http.Request) { r.Header.Add(name, value) } }
func coding(values ...string) change {
	return func(r *http.Request) { r.Header["Content-Encoding"] = values }
}

func twice(name string) change {
	return func(r *http.Request) { r.Header.Add(name, r.Header.Get(name)) }
}

func header(name string, f func(string) string) change {
	return func(r *http.Request) { r.Header.Set(name, f(r.Header.Get(name))) }
}

// chunked hides the body's length.
func chunked(r *http.Request) {
	r.Body = io.NopCloser(io.MultiReader(r.Body))
	r.ContentLength, r.GetBody = -1, nil
}

// signed signs the request's body with a key, at a number of seconds from now.
func signed(key string, offset int64) change {
	return func(r *http.Request) { sign(r, key, strconv.FormatInt(time.Now().Unix()+offset, 10)) }
}

// stamped signs the request's body rightly, with a timestamp that may be none.
func stamped(timestamp func(now string) string) change {
	return func(r *http.Request) {
		sign(r, testSecret, timestamp(strconv.FormatInt(time.Now().Unix(), 10)))
	}
}

func sign(r *http.Request, key, timestamp string) {
	r.Header.Set(verifier.TimestampHeader, timestamp)
	r.Header.Set(verifier.SignatureHeader, verifier.Sign(key, timestamp, content(r)))
}

// content returns the body that a request will be sent with.
func content(r *http.Request) []byte {
	body, err := r.GetBody()
	if err != nil {
		panic(err)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	return content
}

// shifted moves the boundary between timestamp and body: the bytes that the
// signature covers stay the same.
func shifted(r *http.Request) {
	head, tail, _ := strings.Cut(string(content(r)), ".")
	r.Header.Set(verifier.TimestampHeader, r.Header.Get(verifier.TimestampHeader)+"."+head)
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(strings.NewReader(tail)), int64(len(tail)), nil
}

// An exchange is one row of the table: a request that a provider would send,
// changed, and the answer and the reason that must come of it.
type exchange struct {
	name    string
	body    string
	changes []change
	status  int
	answer  string          // "" for a 200, whose id is computed
	reason  verifier.Reason // "" for a 200
}

func otherMethods(body string) []exchange {
	var rows []exchange
	for _, m := range []string{"GET", "PUT", "OPTIONS", "DELETE", "PATCH", "post"} {
		rows = append(rows, exchange{"method " + m, body, []change{method(m)}, 405, saysMethod, verifier.Method})
	}
	// An answer to HEAD has no body.
	return append(rows, exchange{"method HEAD", body, []change{method("HEAD")}, 405, "", verifier.Method})
}

// padded fills a body up with space, which JSON allows behind the object.
func padded(body string, size int) string { return body + strings.Repeat(" ", size-len(body)) }

// nested makes a payload of that many levels; the outermost object is one.
func nested(depth int) string {
	arrays := depth - 2
	return `{"event":"note.generated","note_id":"deep","status":"completed","created_at":"x","data":{"a":` +
		strings.Repeat("[", arrays) + strings.Repeat("]", arrays) + `}}`
}
