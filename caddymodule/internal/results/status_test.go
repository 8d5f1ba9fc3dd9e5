package results

import (
	"context"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// An API has a row if it is configured, or if events wait for it.
func TestStatusOfWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		s := New(new(fakeQueue), nil)
		o, _, _ := observed()
		s.Apply([]API{completes("https://b.example", new(fakeAPI)), completes("https://a.example", new(fakeAPI)), deletes("https://a.example", new(fakeAPI))}, o)
		stats := queue.Stats{Stages: map[string]queue.UpstreamStats{
			queue.Completion("soniox", "https://a.example"):       {Pending: 3, InFlight: 2, OldestPending: now.Add(-time.Minute)},
			queue.Cleanup("soniox", "https://a.example"):          {Pending: 4, OldestPending: now.Add(-time.Hour)},
			queue.Completion("soniox", "https://orphan.example"):  {Pending: 5, InFlight: 1, OldestPending: now.Add(time.Second)},
			queue.Cleanup("soniox", "https://orphan.example"):     {Pending: 6},
			queue.Cleanup("soniox", "https://dead.example"):       {Dead: 7},
			queue.Completion("another", "https://orphan.example"): {Pending: 8},
		}}
		want := []admin.APIStatus{
			{Provider: "another", Source: "https://orphan.example", Pending: 8},
			{Provider: "soniox", Source: "https://a.example", Configured: true, Pending: 3, Cleanups: 4, OldestPendingSeconds: 60},
			{Provider: "soniox", Source: "https://b.example", Configured: true},
			{Provider: "soniox", Source: "https://orphan.example", Pending: 5, InFlight: 1, Cleanups: 6},
		}
		for range 10 { // their order comes from maps
			if got := s.Status(stats, now); !reflect.DeepEqual(got, want) {
				t.Errorf("Status() =\n%+v\nwant\n%+v", got, want)
			}
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is in flight is what the completion has in flight: a claim that it only holds is not,
// and a cleanup is not.
func TestStatusInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := new(fakeQueue)
		s := New(q, nil)
		o, _, _ := observed()
		q.add(completion, "a")
		q.add(queue.Cleanup("soniox", "https://z.example"), "b")
		hanging := &fakeAPI{answer: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		s.Apply([]API{completes(source, hanging), deletes("https://z.example", hanging)}, o)
		synctest.Wait()
		if n := hanging.asked.Load(); n != 2 {
			t.Fatalf("%d requests, want 2", n)
		}
		stats := queue.Stats{Stages: map[string]queue.UpstreamStats{completion: {Pending: 9, InFlight: 9}}}
		if got := s.Status(stats, time.Now()); len(got) != 2 || got[0].InFlight != 1 || got[0].Pending != 9 || got[1].InFlight != 0 {
			t.Errorf("Status() = %+v, want 1 of 9 in flight, and no cleanup", got)
		}
		s.Apply(nil, o)
		elapse(time.Minute)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// An API is paused if one of its stages is.
func TestStatusOfAPause(t *testing.T) {
	t.Parallel()
	for _, stage := range []string{completion, cleanup} {
		t.Run(stage, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				until := time.Now().Add(time.Hour).UTC()
				busy := &fakeAPI{answer: func(context.Context) error {
					e := rest.NewError(rest.RateLimited, "GET", "answered 429")
					e.RetryAfter = until
					return e
				}}
				q := new(fakeQueue)
				q.add(stage, "a")
				s := New(q, nil)
				o, _, _ := observed()
				s.Apply([]API{completes(source, busy), deletes(source, busy)}, o)
				elapse(time.Second)
				got := s.Status(queue.Stats{}, time.Now())
				if len(got) != 1 || !got[0].Paused || got[0].PauseReason != forwarder.RetryAfter || got[0].PausedUntil == nil || !got[0].PausedUntil.Equal(until) {
					t.Errorf("Status() = %+v, want one that is paused until %s", got, until)
				}
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The newest success and the newest failure of an API are those of both stages. They survive
// a reload. An attempt without a request is neither.
func TestStatusOfAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(new(fakeQueue), nil)
		o, _, _ := observed()
		apis := []API{completes(source, new(fakeAPI)), deletes(source, new(fakeAPI))}
		s.Apply(apis, o)
		w := s.states.watch(o)
		start := time.Now()
		report := func(stage string, after time.Duration, word result.Word, status int, asked bool) {
			w.Attempted(result.Report{Word: word, Asked: asked, Outcome: queue.Outcome{
				State: queue.Pending, Delivery: queue.Delivery{Upstream: stage, Attempts: 1}, Status: status, At: start.Add(after), Duration: time.Second,
			}})
		}
		want := func(success time.Duration, failure *admin.APIFailure) {
			t.Helper()
			got := s.Status(queue.Stats{}, time.Now())
			if len(got) != 1 {
				t.Fatalf("Status() = %+v", got)
			}
			if last := got[0].LastSuccess; (last == nil) != (success == 0) || last != nil && !last.Equal(start.Add(success)) {
				t.Errorf("the last success is %v, want %s after the start", last, success)
			}
			if !reflect.DeepEqual(got[0].LastFailure, failure) {
				t.Errorf("the last failure is %+v, want %+v", got[0].LastFailure, failure)
			}
		}
		at := func(d time.Duration) time.Time { return start.Add(d).UTC() }
		want(0, nil)
		report(completion, time.Minute, result.Done, 200, false)
		report(completion, time.Minute, result.Word(rest.Timeout), 0, false)
		want(0, nil)
		report(completion, 2*time.Minute, result.Done, 200, true)
		want(2*time.Minute+time.Second, nil)
		report(cleanup, 4*time.Minute, result.Word(rest.Quota), 402, true)
		report(completion, 3*time.Minute, result.Word(rest.Unreachable), 503, true)
		want(2*time.Minute+time.Second, &admin.APIFailure{At: at(4*time.Minute + time.Second), Reason: "quota", Status: 402})
		report(completion, 5*time.Minute, result.OtherStatus, 200, true)
		report(cleanup, 6*time.Minute, result.Done, 200, true)
		s.Apply(apis, o)
		want(6*time.Minute+time.Second, &admin.APIFailure{At: at(5*time.Minute + time.Second), Reason: "other_status", Status: 200})
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
