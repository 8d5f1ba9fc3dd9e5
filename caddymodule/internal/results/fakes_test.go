package results

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier/event"
)

const source = "https://soniox.com"

// A fakeQueue is a queue in memory, as far as a stage needs one.
type fakeQueue struct {
	queue.Queue

	mu       sync.Mutex
	due      []queue.Delivery
	settled  []queue.Outcome
	released []queue.Delivery
}

// add makes a delivery of a stage due.
func (q *fakeQueue) add(stage, id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = append(q.due, queue.Delivery{
		Seq: uint64(len(q.due) + 1), EventID: "soniox-" + id, Provider: "soniox", Type: "transcription.completed",
		Subject: id, Upstream: stage, ReceivedAt: time.Now(),
	})
}

func (q *fakeQueue) Claim(stage string, _ time.Time, want queue.Want) (c queue.Claimed, _ error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.due = slices.DeleteFunc(q.due, func(d queue.Delivery) bool {
		if d.Upstream != stage || len(c.Deliveries) == want.First {
			return false
		}
		c.Deliveries = append(c.Deliveries, d)
		return true
	})
	return c, nil
}

func (*fakeQueue) Load(d queue.Delivery) (*event.Event, error) {
	return &event.Event{ID: d.EventID, Provider: "soniox", Type: "com.soniox." + d.Type, Kind: event.KindTranscription, ObjectID: d.Subject, Subject: d.Subject}, nil
}

func (q *fakeQueue) Settle(o queue.Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.settled = append(q.settled, o)
}

func (q *fakeQueue) Release(d queue.Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released = append(q.released, d)
}

// left returns how many deliveries nobody has claimed.
func (q *fakeQueue) left() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.due)
}

// states returns the states of the settled deliveries by subject, and "released" for those
// that were released.
func (q *fakeQueue) states() map[string]queue.State {
	q.mu.Lock()
	defer q.mu.Unlock()
	states := make(map[string]queue.State)
	for _, o := range q.settled {
		states[o.Delivery.Subject] = o.State
	}
	for _, d := range q.released {
		states[d.Subject] = "released"
	}
	return states
}

// A fakeAPI answers requests for a transcription. It has no other methods of Soniox's API.
type fakeAPI struct {
	result.API

	answer func(ctx context.Context) error // nil: it knows every transcription
	asked  atomic.Int32
}

func (a *fakeAPI) Transcription(ctx context.Context, id string) (soniox.Transcription, error) {
	a.asked.Add(1)
	if a.answer != nil {
		if err := a.answer(ctx); err != nil {
			return soniox.Transcription{}, err
		}
	}
	return soniox.Transcription{ID: id, Status: soniox.Completed}, nil
}

func (*fakeAPI) DeleteTranscription(context.Context, string) error { return nil }
func (*fakeAPI) Ready() bool                                       { return true }

// completes and deletes return the API of a source with one of the stages.
func completes(source string, api result.API) API {
	return API{Provider: "soniox", Source: source, Completion: &result.Completion{API: api, Fetch: result.FetchNone}}
}

func deletes(source string, api result.API) API {
	return API{Provider: "soniox", Source: source, Cleanup: &result.Cleanup{API: api}}
}

// A fakeStore is a Store in memory, by the ids of events and subjects.
type fakeStore struct {
	mu       sync.Mutex
	known    map[string]bool // ids of events
	subjects map[string]bool
	waiting  map[string]bool // subjects
	taken    []string        // subjects, each with who requested it
}

func (s *fakeStore) Known(_ context.Context, id string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[id], nil
}

func (s *fakeStore) KnownSubject(_ context.Context, provider, subject string) (bool, error) {
	return s.subjects[provider+" "+subject], nil
}

func (s *fakeStore) WaitsFor(_ context.Context, provider, subject string) (bool, error) {
	return s.waiting[provider+" "+subject], nil
}

func (s *fakeStore) Take(_ context.Context, e *event.Event, by string, _ bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = make(map[string]bool)
	}
	s.known[e.ID] = true
	s.taken = append(s.taken, e.Subject+" by "+by)
	return true, nil
}

func (*fakeStore) HistoryRetention() time.Duration { return 72 * time.Hour }

func (s *fakeStore) takenNow() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.taken)
}

// observed returns an observer, and the lines of its log and of its audit trail.
func observed() (o *Observer, log, trail *zapobserver.ObservedLogs) {
	core, log := zapobserver.New(zapcore.DebugLevel)
	trailCore, trail := zapobserver.New(zapcore.DebugLevel)
	return &Observer{Logger: zap.New(core), Audit: audit.New(zap.New(trailCore))}, log, trail
}

// A line is a line of a log: its level and text, and its fields.
type line struct {
	level, text string
	fields      map[string]any
}

func linesOf(logs *zapobserver.ObservedLogs) []line {
	var lines []line
	for _, e := range logs.All() {
		lines = append(lines, line{e.Level.String(), e.Message, e.ContextMap()})
	}
	return lines
}

// names is the number of names that newName has returned.
var names atomic.Int32

// newName returns the name of a provider or a source without series: the collectors live as
// long as the process.
func newName() string { return fmt.Sprint("name_", names.Add(1)) }

// series returns the values of all series that have this value in a label, by name and
// labels, without the label itself. The value of a histogram is its count.
func series(t *testing.T, value string) map[string]float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	metrics.Register(r)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.Metric {
			name, matches := strings.TrimPrefix(f.GetName(), "scribegate_"), false
			for _, l := range m.Label {
				if l.GetValue() == value {
					matches = true
					continue
				}
				name += " " + l.GetValue()
			}
			if matches {
				found[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return found
}

func wantSeries(t *testing.T, value string, want map[string]float64) {
	t.Helper()
	if got := series(t, value); !maps.Equal(got, want) {
		t.Errorf("series %v, want %v", got, want)
	}
}
