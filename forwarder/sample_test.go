package forwarder

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const sampleData = `{"noteId":"a1b2c3d4","subjective":"S \u00e9 €","objective":"O","assessment":"A","plan":"P"}`

const sampleBody = `{ "event":"note.generated","note_id":"a1b2c3d4","status":"completed","created_at":"2026-03-19T15:30:00.000Z", "data":` + sampleData + ` }`

// sampleEvent is a note as SOAPNoteAPI announces it.
func sampleEvent(id string) *event.Event {
	start := strings.Index(sampleBody, sampleData)
	return &event.Event{
		ID: id, Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.generated",
		Subject: "a1b2c3d4", Time: "2026-03-19T15:30:00.000Z", ExpiryTime: "2026-03-20T15:30:00.000Z",
		Provider: "soapnoteapi", Kind: event.KindNote, ObjectID: "a1b2c3d4", Status: "completed",
		OccurredAt: "2026-03-19T15:30:00.000Z", ReceivedAt: noon,
		Metadata: []event.Param{{Name: "user_id", Values: []string{"1 2", "3"}}},
		Note:     event.Span{Start: start, End: start + len(sampleData)},
		Body:     []byte(sampleBody), ContentType: "application/json; charset=utf-8",
		Proof: []event.Field{
			{Name: "X-SoapNoteAPI-Signature", Value: strings.Repeat("ab", 32)},
			{Name: "X-SoapNoteAPI-Timestamp", Value: "1773934200"},
		},
		Query: "user_id=1%202&user_id=3",
	}
}

// sampleTranscription is what Soniox sends.
func sampleTranscription() *event.Event {
	return &event.Event{
		ID: "soniox-0123456789abcdef0123456789abcdef", Source: "https://soniox.com",
		Type: "com.soniox.transcription.completed", Subject: "t-1", Time: "2026-03-19T15:30:00.412Z",
		Provider: "soniox", Kind: event.KindTranscription, ObjectID: "t-1", Status: "completed",
		ReceivedAt: noon, WithRaw: true,
		Body:  []byte(`{"id":"t-1","status":"completed"}`),
		Proof: []event.Field{{Name: "X-Webhook-Secret"}},
	}
}

// A senderFunc is a Sender.
type senderFunc func(ctx context.Context, m *Message) (Answer, error)

func (f senderFunc) Send(ctx context.Context, m *Message) (Answer, error) { return f(ctx, m) }

// answering is a Sender that always has the same status for an answer.
func answering(status int) Sender {
	return senderFunc(func(context.Context, *Message) (Answer, error) { return Answer{Status: status}, nil })
}

// A hanging upstream takes the request and says nothing.
var hanging = senderFunc(func(ctx context.Context, _ *Message) (Answer, error) {
	<-ctx.Done()
	return Answer{}, ctx.Err()
})

// A script is a Sender that a test steers, and that remembers what it was sent.
type script struct {
	mu    sync.Mutex
	reply func(id string) (Answer, error)
	sent  []sending
}

type sending struct {
	id, attempt string
	at          time.Time
}

func scripted(reply func(id string) (Answer, error)) *script { return &script{reply: reply} }

func (s *script) Send(_ context.Context, m *Message) (Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := m.Header.Get("webhook-id")
	s.sent = append(s.sent, sending{id, m.Header.Get("scribegate-attempt"), time.Now()})
	return s.reply(id)
}

func (s *script) now(reply func(id string) (Answer, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply = reply
}

// to is what was sent of one event; of all where id is empty.
func (s *script) to(id string) []sending {
	s.mu.Lock()
	defer s.mu.Unlock()
	var of []sending
	for _, x := range s.sent {
		if id == "" || x.id == id {
			of = append(of, x)
		}
	}
	return of
}

func always(status int) func(string) (Answer, error) {
	return func(string) (Answer, error) { return Answer{Status: status}, nil }
}

func refused(string) (Answer, error) { return Answer{}, ErrConnect }

// A recorder is an Observer that remembers.
type recorder struct {
	mu       sync.Mutex
	attempts []AttemptReport
	events   []string // "paused u", "resumed u"
	untils   []time.Time
	causes   []error
	problems []error
}

func (r *recorder) Attempted(a AttemptReport) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, a)
}

func (r *recorder) Paused(upstream string, until time.Time, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, "paused "+upstream)
	r.untils = append(r.untils, until)
	r.causes = append(r.causes, cause)
}

func (r *recorder) Resumed(upstream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, "resumed "+upstream)
}

func (r *recorder) Problem(_ string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.problems = append(r.problems, err)
}

func (r *recorder) pauses() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string{}, r.events...)
}

func (r *recorder) results() map[queue.Result]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := make(map[queue.Result]int)
	for _, a := range r.attempts {
		n[a.Outcome.Result]++
	}
	return n
}

// A rig is a dispatcher over a memQueue, for use in a synctest bubble. Its
// jitter is none, so that waits are exact.
type rig struct {
	*memQueue

	d   *Dispatcher
	obs *recorder
}

func newRig(t *testing.T, upstreams ...Upstream) *rig {
	t.Helper()
	r := &rig{memQueue: newMemQueue(), obs: &recorder{}}
	r.d = New(r.memQueue, Options{Rand: func() float64 { return 0.5 }, Version: "1.2.3"})
	r.apply(upstreams...)
	t.Cleanup(func() {
		if err := r.d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *rig) apply(upstreams ...Upstream) {
	r.d.Apply(Config{Upstreams: upstreams, Observer: r.obs})
}

func (r *rig) paused(t *testing.T, upstream string) bool {
	t.Helper()
	for _, s := range r.d.Status() {
		if s.Name == upstream {
			return s.Paused
		}
	}
	t.Fatalf("no status of %s", upstream)
	return false
}

// elapse lets time pass in a synctest bubble, and what is due by then happen.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
