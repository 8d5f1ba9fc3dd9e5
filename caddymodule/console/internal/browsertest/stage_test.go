//go:build examples

package browsertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// newStage serves what the scripts need to play the providers and the backends, and returns its
// URL. Every request is a POST with a JSON object, and every answer is JSON.
func newStage(t *testing.T, s *site) string {
	t.Helper()
	mux := http.NewServeMux()
	for path, play := range map[string]func(*http.Request) (any, error){
		"/send":      s.playProvider,
		"/store":     playStore,
		"/reject":    playRejection,
		"/backend":   s.playBackend,
		"/delivered": s.listDelivered,
		"/courses":   listCourses,
		"/requests":  listRequests,
		"/visitors":  listVisitors,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := play(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			_ = json.NewEncoder(w).Encode(answer) // a script that has gone needs no answer
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// decode reads the object of a request.
func decode[T any](r *http.Request) (v T, err error) {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err = d.Decode(&v)
	return v, err
}

// playProvider sends a webhook.
func (s *site) playProvider(r *http.Request) (any, error) {
	h, err := decode[webhook](r)
	if err != nil {
		return nil, err
	}
	status, id, err := s.send(r.Context(), h)
	return map[string]any{"status": status, "id": id}, err
}

// playStore stores an event that no provider could send, since other plugins may. Its texts
// can be anything.
func playStore(r *http.Request) (any, error) {
	it, err := decode[struct {
		ID, Provider, Type, Subject, State, Reason string
		Upstreams                                  []string
	}](r)
	if err != nil {
		return nil, err
	}
	g := gateway.Current()
	if g == nil {
		return nil, errors.New("no gateway is running")
	}
	_, err = g.Store(r.Context(), queue.Item{
		Event: &event.Event{
			ID: it.ID, Provider: it.Provider, Type: event.TypePrefix(it.Provider) + it.Type, Subject: it.Subject, ReceivedAt: time.Now(),
			Source: "https://soapnoteapi.com", Kind: event.KindNote, Body: []byte(`{"note":"` + planted + `"}`),
		},
		Upstreams: it.Upstreams, State: queue.State(it.State), Reason: it.Reason,
	})
	return map[string]string{}, err
}

// playRejection records a rejection whose texts can be anything.
func playRejection(r *http.Request) (any, error) {
	it, err := decode[struct{ Provider, Reason, Client string }](r)
	if err != nil {
		return nil, err
	}
	activity.Process.Rejected(it.Provider, verifier.Reason(it.Reason), it.Client, time.Now())
	return map[string]string{}, nil
}

// playBackend changes what a backend answers, or lets it go down or come back.
func (s *site) playBackend(r *http.Request) (any, error) {
	c, err := decode[struct {
		Name   string
		Status int
		Down   bool
	}](r)
	if err != nil {
		return nil, err
	}
	b := s.backends[c.Name]
	if b == nil {
		return nil, fmt.Errorf("there is no backend %q", c.Name)
	}
	if c.Status != 0 {
		b.answer(c.Status)
	}
	if c.Down {
		b.stop()
		return map[string]string{}, nil
	}
	return map[string]string{}, b.start()
}

// listDelivered returns the ids of the events that a backend has accepted.
func (s *site) listDelivered(r *http.Request) (any, error) {
	c, err := decode[struct{ Name string }](r)
	if err != nil {
		return nil, err
	}
	b := s.backends[c.Name]
	if b == nil {
		return nil, fmt.Errorf("there is no backend %q", c.Name)
	}
	return b.delivered(), nil
}

// listCourses returns the states of an event's deliveries and the numbers of their attempts, or
// null for an unknown event.
func listCourses(r *http.Request) (any, error) {
	c, err := decode[struct{ ID string }](r)
	if err != nil {
		return nil, err
	}
	found, err := gateway.Current().Queue().Event(r.Context(), c.ID)
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil
	}
	attempts := make(map[string]int)
	courses := map[string]any{"attempts": attempts}
	for _, d := range found.Deliveries {
		courses[d.Upstream], attempts[d.Upstream] = d.State, d.Attempts
	}
	return courses, err
}

// listRequests returns the requests that the sites with a console received, from the one with
// this number on.
func listRequests(r *http.Request) (any, error) {
	c, err := decode[struct{ From int }](r)
	if err != nil {
		return nil, err
	}
	recorded.Lock()
	defer recorded.Unlock()
	if c.From > len(recorded.requests) {
		return nil, fmt.Errorf("there are %d requests", len(recorded.requests))
	}
	return slices.Clone(recorded.requests[c.From:]), nil
}

// newStranger starts the site of a stranger, whose pages try to act through the browser of a
// user, and returns its URL.
func newStranger(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded.Lock()
		recorded.visitors = append(recorded.visitors, request{Site: "stranger", Method: r.Method, URI: r.RequestURI, Referer: r.Header.Get("Referer")})
		recorded.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>Stranger</title><link rel=icon href=data:>")) // a browser that has gone needs no answer
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1) + "/"
}

// listVisitors returns the requests that the stranger's site received.
func listVisitors(*http.Request) (any, error) {
	recorded.Lock()
	defer recorded.Unlock()
	return append([]request{}, recorded.visitors...), nil
}
