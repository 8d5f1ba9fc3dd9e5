package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
)

// A delivery is an event and the upstream that it is sent to.
type delivery struct {
	upstream string
	id       string
}

func (d delivery) String() string { return d.upstream + " was sent " + d.id }

// An inbox is the backends of the demonstration. It records what each upstream was
// sent, and what its backend has verified and handled.
type inbox struct {
	mu       sync.Mutex
	sent     map[delivery][]string // the format of each request
	handled  map[delivery]receive.Delivery
	rejected []string
	changed  chan struct{} // closed and replaced when an event is handled
}

func newInbox() *inbox {
	return &inbox{sent: make(map[delivery][]string), handled: make(map[delivery]receive.Delivery), changed: make(chan struct{})}
}

// handler returns a handler that receives for each upstream, at the path /<upstream>.
func (in *inbox) handler(key receive.Key, upstreams ...string) http.Handler {
	mux := http.NewServeMux()
	for _, upstream := range upstreams {
		receiver := receive.New(key, rejections{in, upstream}, func(d receive.Delivery) error {
			in.handle(delivery{upstream, d.ID}, d)
			return nil
		})
		mux.HandleFunc("/"+upstream, func(w http.ResponseWriter, r *http.Request) {
			in.record(delivery{upstream, r.Header.Get("Webhook-Id")}, format(r.Header))
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

func (in *inbox) record(d delivery, format string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sent[d] = append(in.sent[d], format)
}

func (in *inbox) handle(d delivery, event receive.Delivery) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.handled[d] = event
	close(in.changed)
	in.changed = make(chan struct{})
}

// wait waits until the backend has handled a delivery, and returns its event and format.
func (in *inbox) wait(ctx context.Context, d delivery) (event receive.Delivery, format string, err error) {
	err = in.until(ctx, func() bool {
		handled, ok := in.handled[d]
		if ok {
			event, format = handled, in.sent[d][len(in.sent[d])-1]
		}
		return ok
	})
	if err != nil {
		return event, "", fmt.Errorf("waiting for the event at %s: %w", d.upstream, err)
	}
	return event, format, nil
}

// eventOf waits until a backend has handled an event about a transcription, and returns
// the event's id.
func (in *inbox) eventOf(ctx context.Context, transcription string) (id string, err error) {
	err = in.until(ctx, func() bool {
		for d, event := range in.handled {
			var data struct {
				ID string `json:"id"`
			}
			if json.Unmarshal(event.Data, &data) == nil && data.ID == transcription {
				id = d.id
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", fmt.Errorf("waiting for the event of the transcription: %w", err)
	}
	return id, nil
}

// until waits until found returns true. in.mu is locked while found is called.
func (in *inbox) until(ctx context.Context, found func() bool) error {
	for {
		in.mu.Lock()
		ok, changed := found(), in.changed
		in.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// check returns the rejected deliveries, and those that were sent but are not in want,
// or are in want but were not sent exactly once.
func (in *inbox) check(want []delivery) []string {
	in.mu.Lock()
	defer in.mu.Unlock()
	problems := slices.Clone(in.rejected)
	for _, d := range want {
		if n := len(in.sent[d]); n != 1 {
			problems = append(problems, fmt.Sprintf("%s %d times, not once", d, n))
		}
	}
	for d := range in.sent {
		if !slices.Contains(want, d) {
			problems = append(problems, fmt.Sprintf("%s and should not have been", d))
		}
	}
	slices.Sort(problems)
	return problems
}

// rejections is a receiver's output. It keeps the lines about rejected deliveries.
type rejections struct {
	in       *inbox
	upstream string
}

func (r rejections) Write(line []byte) (int, error) {
	if text := string(line); strings.HasPrefix(text, "refused") {
		r.in.mu.Lock()
		defer r.in.mu.Unlock()
		r.in.rejected = append(r.in.rejected, r.upstream+" "+strings.TrimSpace(text))
	}
	return len(line), nil
}

// Interface guards
var _ io.Writer = rejections{}
