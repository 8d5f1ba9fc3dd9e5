package receive

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// MaxBody is the maximum size of a delivery in bytes. A provider's body has at most
// 10 MiB, unless `max_body` is set. The delivery of an unknown event contains it
// twice, in data.note and in data.raw.
const MaxBody = 32 << 20

// A Delivery is one verified request of the gateway.
type Delivery struct {
	Event
	Attempt int // from 1; 0 if the request has no number
}

// A Receiver is an http.Handler that answers deliveries. It answers 204 for an
// event that is handled now or was handled before, 401 for a request that is not
// from the gateway, and 500 if the handling failed, so that the gateway retries.
type Receiver struct {
	key    Key
	handle func(Delivery) error
	out    io.Writer
	now    func() time.Time

	mu      sync.Mutex
	handled map[string]struct{}
}

// New returns a Receiver that calls handle once for each event, and writes one line
// about each request to out, without the event's data. handle should be fast: the
// gateway waits 30 s for an answer, unless `timeout` is set.
func New(key Key, out io.Writer, handle func(Delivery) error) *Receiver {
	return &Receiver{key: key, handle: handle, out: out, now: time.Now, handled: map[string]struct{}{}}
}

func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		rc.reject(w, bodyStatus(err), "the body is too large or incomplete")
		return
	}
	if err := rc.key.Verify(r.Header, body, rc.now()); err != nil {
		rc.reject(w, http.StatusUnauthorized, err.Error())
		return
	}
	event, err := ParseEvent(r.Header, body)
	if err != nil {
		rc.reject(w, http.StatusBadRequest, err.Error())
		return
	}

	attempt, _ := strconv.Atoi(r.Header.Get("Scribegate-Attempt"))
	word, err := rc.once(Delivery{Event: event, Attempt: attempt})
	if err != nil {
		fmt.Fprintf(rc.out, "failed %s %s attempt %d\n", event.Type, event.ID, attempt)
		http.Error(w, "not handled", http.StatusInternalServerError)
		return
	}
	fmt.Fprintf(rc.out, "%s %s %s attempt %d\n", word, event.Type, event.ID, attempt)
	w.WriteHeader(http.StatusNoContent)
}

// once handles a delivery, unless its id was handled before.
//
// The ids in memory are lost when the process ends. In production, insert the id
// into a table with a unique key, in the same database transaction as the changes
// that the event makes: then both happen or neither does, and of two deliveries at
// the same time one waits for the other.
func (rc *Receiver) once(d Delivery) (word string, err error) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if _, ok := rc.handled[d.ID]; ok {
		return "duplicate", nil
	}
	if err := rc.handle(d); err != nil {
		return "", err
	}
	rc.handled[d.ID] = struct{}{}
	return "received", nil
}

func (rc *Receiver) reject(w http.ResponseWriter, status int, reason string) {
	fmt.Fprintf(rc.out, "refused %d %s\n", status, reason)
	http.Error(w, http.StatusText(status), status)
}

func bodyStatus(err error) int {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}
