package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
)

// A target is an event on its way to an upstream.
type target struct {
	upstream string
	id       string
}

func (t target) String() string { return t.upstream + " was sent " + t.id }

// An inbox is the backends of the demonstration: what each upstream was sent,
// and what its backend has verified and handled.
type inbox struct {
	mu      sync.Mutex
	sent    map[target][]string // the format of each request
	handled map[target]receive.Delivery
	refused []string
	changed chan struct{} // closed, and made anew, when something is handled
}

func newInbox() *inbox {
	return &inbox{sent: make(map[target][]string), handled: make(map[target]receive.Delivery), changed: make(chan struct{})}
}

// handler receives for every upstream, at a path of its name.
func (in *inbox) handler(key receive.Key, upstreams ...string) http.Handler {
	mux := http.NewServeMux()
	for _, upstream := range upstreams {
		receiver := receive.New(key, refusals{in, upstream}, func(d receive.Delivery) error {
			in.handle(target{upstream, d.ID}, d)
			return nil
		})
		mux.HandleFunc("/"+upstream, func(w http.ResponseWriter, r *http.Request) {
			in.note(target{upstream, r.Header.Get("Webhook-Id")}, format(r.Header))
			receiver.ServeHTTP(w, r)
		})
	}
	return mux
}

func format(h http.Header) string {
	if h.Get("Ce-Type") != "" {
		return "binary"
	}
	return "structured"
}

func (in *inbox) note(t target, format string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sent[t] = append(in.sent[t], format)
}

func (in *inbox) handle(t target, d receive.Delivery) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handled[t] = d
	close(in.changed)
	in.changed = make(chan struct{})
}

// wait returns an event, and the format it came in, once its backend has handled
// it.
func (in *inbox) wait(ctx context.Context, t target) (d receive.Delivery, format string, err error) {
	for {
		in.mu.Lock()
		d, ok := in.handled[t]
		sent, changed := in.sent[t], in.changed
		in.mu.Unlock()
		if ok {
			return d, sent[len(sent)-1], nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return d, "", fmt.Errorf("waiting for the event at %s: %w", t.upstream, context.Cause(ctx))
		}
	}
}

// check compares all that was sent with what should have been, each once, and
// returns what is wrong.
func (in *inbox) check(want []target) []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	problems := slices.Clone(in.refused)
	for _, t := range want {
		if n := len(in.sent[t]); n != 1 {
			problems = append(problems, fmt.Sprintf("%s %d times, not once", t, n))
		}
	}
	for t := range in.sent {
		if !slices.Contains(want, t) {
			problems = append(problems, fmt.Sprintf("%s and should not have been", t))
		}
	}
	slices.Sort(problems)
	return problems
}

// refusals keeps the lines in which a receiver says what it refuses.
type refusals struct {
	in       *inbox
	upstream string
}

func (r refusals) Write(line []byte) (int, error) {
	if text := string(line); strings.HasPrefix(text, "refused") {
		r.in.mu.Lock()
		defer r.in.mu.Unlock()
		r.in.refused = append(r.in.refused, r.upstream+" "+strings.TrimSpace(text))
	}
	return len(line), nil
}

// Interface guards
var _ io.Writer = refusals{}
