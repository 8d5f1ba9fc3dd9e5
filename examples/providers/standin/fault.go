package standin

import (
	"net/http"
	"time"
)

// A Fault replaces or damages answers. The zero value does nothing.
type Fault struct {
	// ID limits the fault to the transcription, file or note of this id.
	ID string
	// Times limits the fault to that many requests. 0 is no limit.
	Times int

	// Delay is waited before anything else happens.
	Delay time.Duration
	// Status is answered instead of the true answer, with the provider's error for it.
	Status int
	// ErrorType is the error_type of that error, or SOAPNoteAPI's code.
	ErrorType string
	// RetryAfter is the header Retry-After of the answer.
	RetryAfter string
	// Location is the header Location of the answer.
	Location string
	// Body replaces the body of the answer, whether or not Status is set. Without Status,
	// the request has its usual effect: a DELETE deletes.
	Body []byte
	// Cut closes the connection after half of the body, or before the answer if it has
	// none. The request has its usual effect.
	Cut bool
	// Hang sends nothing more, until the client goes away or the Server is closed: with
	// Cut after half of the body, else from the beginning, and then the request has no
	// effect.
	Hang bool
}

type activeFault struct {
	Fault
	route Route
	used  int
}

// Fail makes the requests of a route fail. Of several faults for a request the oldest
// that is not used up acts, so that a sequence of faults can be prepared.
func (s *Server) Fail(route Route, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &activeFault{Fault: f, route: route})
}

// ClearFaults ends all faults. Requests that hang already go on hanging.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault returns the fault for a request and uses it.
func (s *Server) fault(route Route, id string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if (f.route == AnyRoute || f.route == route) && (f.ID == "" || f.ID == id) && (f.Times == 0 || f.used < f.Times) {
			f.used++
			return f.Fault, true
		}
	}
	return Fault{}, false
}

// answerWithFault answers a request that a fault applies to. It panics with
// http.ErrAbortHandler to cut the connection.
func answerWithFault(w http.ResponseWriter, r *http.Request, route Route, f Fault, e endpoint) {
	if !sleep(r.Context(), f.Delay) {
		panic(http.ErrAbortHandler)
	}
	if f.Hang && !f.Cut {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	var a answer
	if f.Status == 0 {
		a = e(r)
	} else {
		a = failure(route, f.Status, f.ErrorType)
	}
	if f.Body != nil {
		a.body = f.Body
	}
	for name, value := range map[string]string{"Retry-After": f.RetryAfter, "Location": f.Location} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	if !f.Cut {
		a.write(w)
		return
	}
	if half := a.body[:len(a.body)/2]; len(half) > 0 {
		a.writeHeader(w)
		_, _ = w.Write(half) // a client that went away does not need it
		_ = http.NewResponseController(w).Flush()
	}
	if f.Hang {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler)
}
