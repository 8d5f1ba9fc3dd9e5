package result

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const source = "https://soniox.com"

// A fakeQueue is a queue in memory, as far as a stage needs one. The methods that it
// lacks are those of a nil Queue.
type fakeQueue struct {
	queue.Queue

	mu    sync.Mutex
	items []*item
	loads error
	wake  func()
}

type item struct {
	delivery queue.Delivery
	event    *event.Event
	state    queue.State
	next     time.Time
	claimed  bool
	outcomes []queue.Outcome
	releases int
}

// add stores an event whose transcription has the id, for a stage.
func (q *fakeQueue) add(stage, id, status string) *item {
	q.mu.Lock()
	e := &event.Event{
		ID: "soniox-" + id, Source: source, Type: "com.soniox.transcription." + status, Subject: id, Provider: "soniox",
		Kind: event.KindTranscription, ObjectID: id, ReceivedAt: time.Now(), WithRaw: true,
		Body: fmt.Appendf(nil, `{"id":%q,"status":%q}`, id, status),
	}
	it := &item{event: e, state: queue.Pending, delivery: queue.Delivery{
		Seq: uint64(len(q.items) + 1), EventID: e.ID, Provider: "soniox", Type: e.ShortType(), Subject: id, Upstream: stage, ReceivedAt: time.Now(),
	}}
	q.items = append(q.items, it)
	wake := q.wake
	q.mu.Unlock()
	if wake != nil {
		wake()
	}
	return it
}

func (q *fakeQueue) Claim(stage string, now time.Time, want queue.Want) (queue.Claimed, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var c queue.Claimed
	for _, it := range q.items {
		if it.claimed || it.state != queue.Pending || it.delivery.Upstream != stage {
			continue
		}
		switch {
		case it.delivery.Attempts == 0:
			if want.First == 0 {
				continue
			}
			want.First--
		case it.next.After(now):
			if c.Next.IsZero() || it.next.Before(c.Next) {
				c.Next = it.next
			}
			continue
		default:
			if want.Retry == 0 {
				continue
			}
			want.Retry--
		}
		it.claimed = true
		d := it.delivery
		d.History = slices.Clone(d.History)
		c.Deliveries = append(c.Deliveries, d)
	}
	return c, nil
}

func (q *fakeQueue) item(d queue.Delivery) *item { return q.items[d.Seq-1] }

func (q *fakeQueue) Load(d queue.Delivery) (*event.Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.item(d).event, q.loads
}

func (q *fakeQueue) Settle(o queue.Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(o.Delivery)
	if !it.claimed {
		panic("settled without a claim")
	}
	it.claimed, it.state, it.next = false, o.State, o.Next
	it.outcomes = append(it.outcomes, o)
	d := &it.delivery
	d.Attempts++
	d.History = append(d.History, queue.Attempt{Number: d.Attempts, At: o.At, Duration: o.Duration, Result: o.Result, Status: o.Status, Note: o.Note})
	d.History = d.History[max(0, len(d.History)-queue.MaxHistory):]
	if o.Event != nil {
		it.event = o.Event
	}
}

func (q *fakeQueue) Release(d queue.Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(d)
	it.claimed = false
	it.releases++
}

// get returns the last outcome of an event, and how many there were.
func (q *fakeQueue) get(it *item) (o queue.Outcome, n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n = len(it.outcomes); n > 0 {
		o = it.outcomes[n-1]
	}
	return o, n
}

// now returns an event as it is now.
func (q *fakeQueue) now(it *item) item {
	q.mu.Lock()
	defer q.mu.Unlock()
	return *it
}

// failLoads makes all loads fail; a nil error ends that.
func (q *fakeQueue) failLoads(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loads = err
}

// wantState checks the state of an event, and what it is completed with.
func (q *fakeQueue) wantState(t *testing.T, it *item, state queue.State, transcription string) {
	t.Helper()
	o, n := q.get(it)
	got := q.now(it)
	if got.state != state || string(got.event.Transcription) != transcription {
		t.Errorf("%s is %s after %d attempts: %s (%s, note %q)", got.delivery.Subject, got.state, n, got.event.Transcription, o.Result, o.Note)
	}
}

// A recorder records what an observer is notified of.
type recorder struct {
	mu      sync.Mutex
	reports []Report
	pauses  []string
	errs    []error
}

func (r *recorder) Attempted(x Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reports = append(r.reports, x)
}

func (r *recorder) Paused(stage string, until time.Time, cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	word := "paused"
	if !until.IsZero() {
		word = "held"
	}
	r.pauses = append(r.pauses, word)
	r.errs = append(r.errs, cause)
}

func (r *recorder) Resumed(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pauses = append(r.pauses, "resumed")
}

func (r *recorder) Problem(_ string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
}

func (r *recorder) words() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var words []string
	for _, x := range r.reports {
		words = append(words, string(x.Word))
	}
	return strings.Join(words, " ")
}

// errors returns the causes of pauses, and the problems.
func (r *recorder) errors() []error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errs)
}

// last returns the newest report.
func (r *recorder) last() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reports[len(r.reports)-1]
}

func (r *recorder) paused() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.pauses, " ")
}

// elapse lets time pass in a bubble.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
