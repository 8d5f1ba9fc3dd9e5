package result

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

// A fakeAPI is Soniox's API in memory.
type fakeAPI struct {
	mu             sync.Mutex
	transcriptions map[string]soniox.Transcription
	transcripts    map[string]string
	files          map[string]bool
	calls          []string
	fail           func(call string) error // of each call; may be nil
	took           time.Duration           // of each call
	wait           func(ctx context.Context) error
	notReady       bool
	bareList       bool // entries of the list have their ids and statuses only
	timeouts       []time.Duration
	pageSize       int
}

func newFakeAPI() *fakeAPI {
	return &fakeAPI{transcriptions: make(map[string]soniox.Transcription), transcripts: make(map[string]string), files: make(map[string]bool), pageSize: 1000}
}

// add adds a transcription with its transcript.
func (f *fakeAPI) add(id, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := soniox.Transcription{ID: id, Status: status, CreatedAt: time.Now(), Members: []byte(`"model":"m"`)}
	if status == soniox.Failed {
		t.ErrorType = "audio_error"
		t.Members = append(t.Members, `,"error_type":"audio_error"`...)
	}
	f.transcriptions[id] = t
	f.transcripts[id] = `{"text":"` + id + `","tokens":[]}`
}

// failing sets what the calls answer.
func (f *fakeAPI) failing(fail func(call string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *fakeAPI) count() int { return len(f.called("")) }

// called returns the calls that begin so.
func (f *fakeAPI) called(prefix string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var calls []string
	for _, c := range f.calls {
		if strings.HasPrefix(c, prefix) {
			calls = append(calls, c)
		}
	}
	return calls
}

func (f *fakeAPI) call(ctx context.Context, call string) error {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	fail, took, wait := f.fail, f.took, f.wait
	f.mu.Unlock()
	if wait != nil {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	select {
	case <-time.After(took):
	case <-ctx.Done():
		return ctx.Err()
	}
	if fail != nil {
		return fail(call)
	}
	return nil
}

func (f *fakeAPI) Transcription(ctx context.Context, id string) (soniox.Transcription, error) {
	if err := f.call(ctx, "get "+id); err != nil {
		return soniox.Transcription{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.transcriptions[id]
	if !ok {
		return t, errKind(rest.Unknown, 404)
	}
	return t, nil
}

func (f *fakeAPI) AppendTranscript(ctx context.Context, dst []byte, r soniox.TranscriptRequest) ([]byte, error) {
	f.mu.Lock()
	f.timeouts = append(f.timeouts, r.Timeout)
	f.mu.Unlock()
	if err := f.call(ctx, "transcript "+r.ID); err != nil {
		return dst, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, ok := f.transcripts[r.ID]
	if !ok {
		return dst, errKind(rest.Unknown, 404)
	}
	if !r.Tokens {
		text = `{"text":"` + r.ID + `"}`
	}
	return append(dst, text...), nil
}

func (f *fakeAPI) List(ctx context.Context, cursor string) (page []soniox.Transcription, next string, err error) {
	if err := f.call(ctx, "list "+cursor); err != nil {
		return nil, "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.transcriptions {
		if id > cursor {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if len(ids) > f.pageSize {
		ids = ids[:f.pageSize]
		next = ids[len(ids)-1]
	}
	for _, id := range ids {
		t := f.transcriptions[id]
		t.FileListed = true
		if f.bareList {
			t = soniox.Transcription{ID: t.ID, Status: t.Status}
		}
		page = append(page, t)
	}
	return page, next, nil
}

func (f *fakeAPI) DeleteTranscription(ctx context.Context, id string) error {
	if err := f.call(ctx, "delete "+id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t, ok := f.transcriptions[id]
	switch {
	case !ok:
		return errKind(rest.Unknown, 404)
	case !t.Finished():
		return errKind(rest.NotReady, 409)
	}
	delete(f.transcriptions, id)
	return nil
}

func (f *fakeAPI) DeleteFile(ctx context.Context, id string) error {
	if err := f.call(ctx, "delete file "+id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.files[id] {
		return errKind(rest.Unknown, 404)
	}
	delete(f.files, id)
	return nil
}

func (f *fakeAPI) Ready() bool { return !f.notReady }

func errKind(k rest.Kind, status int) error { return &rest.Error{Kind: k, Status: status} }

// always returns the failure of all calls.
func always(k rest.Kind, status int) func(string) error {
	return func(string) error { return errKind(k, status) }
}

var _ API = (*fakeAPI)(nil)
