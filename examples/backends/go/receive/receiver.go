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

// MaxBody is the largest delivery that is read, in bytes. A provider's body is
// at most 10 MiB unless `max_body` says otherwise, and an unknown event's is
// delivered twice over, as data and as raw.
const MaxBody = 32 << 20

// A Delivery is one request of the gateway, proved to be its own.
type Delivery struct {
	Event
	Attempt int // from 1, or 0 where the request does not tell
}

// A Receiver is an http.Handler that answers deliveries: 204 for a handled one
// and for one that was handled before, 401 for one that is not the gateway's,
// 500 where the handling failed, so that the gateway tries again.
type Receiver struct {
	key    Key
	handle func(Delivery) error
	out    io.Writer
	now    func() time.Time

	mu      sync.Mutex
	handled map[string]struct{}
}

// New makes a Receiver that gives each event to handle once and writes one line
// about each request to out, without anything of the event's data. The handling
// should be quick: the gateway waits 30 s for an answer unless told otherwise.
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
		rc.refuse(w, bodyStatus(err), "the body is too large or did not arrive whole")
		return
	}
	if err := rc.key.Verify(r.Header, body, rc.now()); err != nil {
		rc.refuse(w, http.StatusUnauthorized, err.Error())
		return
	}
	event, err := ParseEvent(r.Header, body)
	if err != nil {
		rc.refuse(w, http.StatusBadRequest, err.Error())
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

// once handles a delivery unless its id was handled before.
//
// In memory the ids are gone with the process. In production, insert the id into
// a table where it is unique, in the same database transaction as what the event
// changes: then both happen or neither does, and of two deliveries at the same
// moment one waits for the other.
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

func (rc *Receiver) refuse(w http.ResponseWriter, status int, why string) {
	fmt.Fprintf(rc.out, "refused %d %s\n", status, why)
	http.Error(w, http.StatusText(status), status)
}

func bodyStatus(err error) int {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}
