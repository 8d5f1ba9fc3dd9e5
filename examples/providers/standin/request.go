package standin

import (
	"net/http"
	"time"
)

// A Request is a request that the Server received.
type Request struct {
	Route      Route // "" for an unknown path
	Method     string
	Path       string // as it was sent, with its escapes
	Query      string // without the question mark
	Key        string // "" without one
	RemoteAddr string // identifies the connection
	Time       time.Time
	Status     int // of the answer; 0 while there is none, and if the connection was cut before it
}

// Requests returns all requests so far, the oldest first.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = *r
	}
	return all
}

// Count returns how many requests a route has received so far.
func (s *Server) Count(route Route) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if route == AnyRoute || route == r.Route {
			n++
		}
	}
	return n
}

// record records a request. It returns the function that records the end of its answer.
func (s *Server) record(r *http.Request, route Route, w *statusWriter) (end func()) {
	entry := &Request{
		Route: route, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Key: bearer(r),
		RemoteAddr: r.RemoteAddr, Time: s.options.Now(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, entry)
	w.wrote = func(status int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		entry.Status = status
	}
	return func() { s.options.Log("%s %s: %d", entry.Method, entry.Path, w.status) }
}

// A statusWriter reports the status of an answer before it is sent, so that a client that
// has read its answer finds the status in Requests.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  func(status int)
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.wrote(status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
