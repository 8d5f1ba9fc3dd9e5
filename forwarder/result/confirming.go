package result

import (
	"context"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

const (
	// maxKnown and maxMembers bound what is remembered of transcriptions.
	maxKnown   = 2 * soniox.PageSize
	maxMembers = 4 << 10

	// knownFor is how long a transcription is taken to be there still.
	knownFor = 10 * time.Minute

	// listFor is how many events must wait for the rate limit, so that one page of the
	// list is asked for instead of each of them.
	listFor = 3

	// listPause is how long no page is asked for after one that had none of them.
	listPause = time.Minute
)

// A register asks the API for transcriptions, with fewer requests than events where
// possible: it remembers finished ones for a while, so that a retry does not ask again,
// and asks for a page of the list when several events wait.
type register struct {
	mu      sync.Mutex
	known   map[string]entry
	order   []string // of known, oldest first
	waiting map[string]int
	listing chan struct{} // closed when the page under way is there; nil if there is none
	noList  time.Time     // no page is asked for before
}

type entry struct {
	soniox.Transcription

	at time.Time
}

// transcription returns what the API knows of a transcription, and whether it was asked.
// With old, what is known counts however old it is.
func (r *register) transcription(ctx context.Context, api API, id string, old bool) (t soniox.Transcription, asked bool, err error) {
	list, wait, t, ok := r.begin(api, id, old)
	if ok {
		return t, false, nil
	}
	defer r.end(id)
	switch {
	case list != nil:
		r.list(ctx, api, list)
	case wait != nil:
		began := time.Now()
		select {
		case <-wait:
			rest.AddWait(ctx, time.Since(began))
		case <-ctx.Done():
			return t, false, ctx.Err()
		}
	}
	if list != nil || wait != nil {
		if t, ok := r.find(id, old); ok {
			return t, true, nil
		}
	}
	if t, err = api.Transcription(ctx, id); err == nil {
		r.remember(t)
	}
	return t, true, err
}

// begin looks a transcription up. If it is not known, the caller asks for a page and
// closes list, or waits until wait is closed, or asks for the transcription at once; and
// calls end.
func (r *register) begin(api API, id string, old bool) (list, wait chan struct{}, t soniox.Transcription, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.look(id, old); ok {
		return nil, nil, t, true
	}
	if r.waiting == nil {
		r.waiting = make(map[string]int)
	}
	r.waiting[id]++
	switch {
	case r.listing != nil:
		return nil, r.listing, t, false
	case len(r.waiting) >= listFor && !api.Ready() && !time.Now().Before(r.noList):
		r.listing = make(chan struct{})
		return r.listing, nil, t, false
	}
	return nil, nil, t, false
}

func (r *register) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[id]--; r.waiting[id] == 0 {
		delete(r.waiting, id)
	}
}

// list asks for the first page of the list. Its error changes nothing: each event is then
// asked for.
func (r *register) list(ctx context.Context, api API, done chan struct{}) {
	page, _, _ := api.List(ctx, "")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listing = nil
	close(done)
	useful := false
	for _, t := range page {
		if t.Finished() && len(t.Members) > 0 { // else the list has less than Transcription
			useful = useful || r.waiting[t.ID] > 0
			r.add(t)
		}
	}
	if !useful {
		r.noList = time.Now().Add(listPause)
	}
}

func (r *register) find(id string, old bool) (soniox.Transcription, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.look(id, old)
}

func (r *register) remember(t soniox.Transcription) {
	if !t.Finished() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.add(t)
}

// forget drops a transcription whose event is completed.
func (r *register) forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.known, id)
}

func (r *register) look(id string, old bool) (t soniox.Transcription, ok bool) {
	e, ok := r.known[id]
	if !ok || !old && time.Since(e.at) > knownFor {
		return t, false
	}
	return e.Transcription, true
}

func (r *register) add(t soniox.Transcription) {
	if len(t.Members) > maxMembers {
		return
	}
	if r.known == nil {
		r.known = make(map[string]entry)
	}
	if _, ok := r.known[t.ID]; !ok {
		r.order = append(r.order, t.ID)
	}
	r.known[t.ID] = entry{t, time.Now()}
	for len(r.order) > maxKnown {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
}
