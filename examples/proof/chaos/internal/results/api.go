package results

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// failureShare is the share of the requests that fail: one of so many.
const failureShare = 8

// apiFaults are the ways in which requests fail. Hangs end with a kill, see cutAnswer.
var apiFaults = []standin.Fault{
	{Status: http.StatusInternalServerError}, {Status: http.StatusTooManyRequests}, {Status: http.StatusServiceUnavailable, Delay: slowest}, {Cut: true},
}

// holdGap is the least time between two answers with a Retry-After of a second, since no request is sent in that
// second.
const holdGap = 5 * time.Second

// maxOpen is the number of transcriptions that an account has at most. Soniox's limit is 2,000.
const maxOpen = 500

// slowest is the longest delay of an answer.
const slowest = 20 * time.Millisecond

// A providerAPI is the API of Soniox, played by the stand-in. It survives the gateway, fails now and
// then, counts the requests about each transcription, and checks what is deleted.
type providerAPI struct {
	*standin.Server

	address string
	server  *http.Server
	routes  *http.ServeMux

	mu      sync.Mutex
	strict  bool               // nothing fails
	held    time.Time          // the newest answer with a Retry-After
	budgets map[string]*budget // by the id of the transcription or file
	open    map[string]bool    // transcriptions that are not deleted yet
	kills   int                // so far
	strike  *strike            // nil if the gateway is not to be killed
	wrong   error              // the first thing that must not be requested

	deletable func(id string) bool // whether every upstream has accepted the event of a transcription
}

// A strike waits for the moment of the next kill.
type strike struct {
	moment

	only map[string]bool // ids of transcriptions; nil: all
	hit  chan struct{}   // closed at the first request
	once sync.Once
}

func newProviderAPI(ctx context.Context, deletable func(id string) bool) (*providerAPI, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the provider's API: %w", err)
	}
	p := &providerAPI{
		Server: standin.New(standin.Options{}), address: listener.Addr().String(), routes: http.NewServeMux(),
		budgets: make(map[string]*budget), open: make(map[string]bool), deletable: deletable,
	}
	for _, route := range []standin.Route{standin.ListTranscriptions, standin.GetTranscription, standin.GetTranscript, standin.DeleteTranscription, standin.DeleteFile} {
		p.routes.HandleFunc(string(route), func(w http.ResponseWriter, r *http.Request) { p.answer(w, r, route, r.PathValue("id")) })
	}
	p.routes.Handle(string(standin.CountTranscriptions), p.Server)
	p.routes.Handle(string(standin.CountFiles), p.Server)
	p.server = &http.Server{Handler: p.routes, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(listener) }() // it ends with close
	return p, nil
}

func (p *providerAPI) url() string { return "http://" + p.address }

func (p *providerAPI) close() {
	p.Server.Close()
	_ = p.server.Close() // an error would not matter
}

// answer answers a request as the strike wants it, or as the stand-in does.
func (p *providerAPI) answer(w http.ResponseWriter, r *http.Request, route standin.Route, id string) {
	if route == standin.DeleteTranscription {
		defer p.look(id)
	}
	s := p.record(route, id)
	if s == nil {
		if await.Sleep(r.Context(), scenario.Random(slowest)) != nil {
			panic(http.ErrAbortHandler)
		}
		p.failSometimes(route, id)
		p.ServeHTTP(w, r)
		return
	}
	hit := func() { s.once.Do(func() { close(s.hit) }) }
	switch s.answer {
	case whole:
		p.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush() // the gateway may have been killed
		hit()
		return
	case half:
		p.Fail(route, standin.Fault{ID: id, Times: 1, Cut: true, Hang: true})
		p.ServeHTTP(flushed{w, hit}, r)
	case lost:
		p.ServeHTTP(discarded{make(http.Header)}, r)
	case none:
	}
	hit()
	<-r.Context().Done() // until the kill
	panic(http.ErrAbortHandler)
}

// look records whether a transcription is deleted.
func (p *providerAPI) look(id string) {
	_, there := p.Transcription(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !there {
		delete(p.open, id)
	}
}

// full reports whether so many transcriptions are not deleted yet that no other one should be made.
func (p *providerAPI) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.open) >= maxOpen
}

// record counts a request and checks that it is allowed. It returns the strike if there is one for it.
func (p *providerAPI) record(route standin.Route, id string) *strike {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.budgets[id]
	if b != nil {
		b.requests++
	}
	if err := p.forbidden(route, id, b); err != nil && p.wrong == nil {
		p.wrong = err
	}
	if s := p.strike; s != nil && s.route == route && (s.only == nil || s.only[id]) {
		return s
	}
	return nil
}

// forbidden returns an error for a request that must never come.
func (p *providerAPI) forbidden(route standin.Route, id string, b *budget) error {
	switch {
	case route != standin.ListTranscriptions && b == nil:
		return fmt.Errorf("%s: the gateway has requested %s, which no event names", route, id)
	case route == standin.DeleteTranscription && !p.deletable(id):
		return fmt.Errorf("the gateway has deleted the transcription %s before every upstream had accepted its event", id)
	case route == standin.DeleteFile:
		for _, user := range b.users {
			if _, there := p.Transcription(user); there {
				return fmt.Errorf("the gateway has deleted the file %s, which the transcription %s needs", id, user)
			}
		}
	}
	return nil
}

// failSometimes makes the request that follows fail, at most once for each id and kind of request, and at most once
// in the deletion of an event's result: a second failure of it would be retried only after a minute.
func (p *providerAPI) failSometimes(route standin.Route, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.budgets[id]
	if p.strict || b == nil || b.failed[route] || scenario.Random(failureShare) > 0 {
		return
	}
	switch route {
	case standin.DeleteTranscription:
		if b.failLater {
			return
		}
	case standin.DeleteFile:
		if !b.failLater {
			return
		}
	default:
		if p.deletable(id) {
			return
		}
	}
	b.failed[route] = true
	f := apiFaults[scenario.Random(len(apiFaults))]
	if time.Since(p.held) > holdGap {
		p.held, f = time.Now(), standin.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1"}
	}
	f.ID, f.Times = id, 1
	p.Fail(route, f)
}

// arm waits for a moment. The channel is closed at the first of its requests.
func (p *providerAPI) arm(m moment, only map[string]bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strike = &strike{moment: m, only: only, hit: make(chan struct{})}
	return p.strike.hit
}

// killed counts a kill, after which nothing is waited for. A failure that was prepared for the killed gateway must not
// meet the next one: one that hangs would take 30 s.
func (p *providerAPI) killed() {
	p.ClearFaults()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kills++
	p.strike = nil
}

// beStrict ends all failures.
func (p *providerAPI) beStrict() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.strict = true
}

// flushed calls a function when the first part of an answer is sent.
type flushed struct {
	http.ResponseWriter

	sent func()
}

func (f flushed) FlushError() error {
	err := http.NewResponseController(f.ResponseWriter).Flush()
	f.sent()
	return err
}

// discarded is an answer that is not sent.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header { return d.header }

func (d discarded) Write(p []byte) (int, error) { return len(p), nil }

func (d discarded) WriteHeader(int) {}
