package result

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

var completion = queue.Completion("soniox", source)

// A rig is a completion over a queue and an API in memory, in a bubble.
type rig struct {
	*fakeQueue
	*recorder

	api   *fakeAPI
	stage *CompletionStage
}

func newRig(t *testing.T, c Completion) *rig {
	t.Helper()
	r := &rig{fakeQueue: &fakeQueue{}, recorder: &recorder{}, api: newFakeAPI()}
	c.API = r.api
	r.stage = NewCompletion(r.fakeQueue, "soniox", source, c, r.recorder)
	r.fakeQueue.wake = r.stage.Wake
	t.Cleanup(func() {
		if err := r.stage.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r
}

func bubble(t *testing.T, c Completion, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t, c)) })
}

func TestCompletes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fetch          Fetch
		status, want   string
		requests       int
		retain, absent bool
	}{
		{"", soniox.Completed, `{"model":"m","transcript":{"text":"a","tokens":[]}}`, 2, false, false},
		{FetchTranscript, soniox.Completed, `{"model":"m","transcript":{"text":"a","tokens":[]}}`, 2, false, false},
		{FetchText, soniox.Completed, `{"model":"m","transcript":{"text":"a"}}`, 2, false, false},
		{FetchNone, soniox.Completed, `{"model":"m"}`, 1, false, false},
		{FetchTranscript, soniox.Failed, `{"model":"m","error_type":"audio_error","unavailable":"audio_error"}`, 1, true, false},
		{FetchNone, soniox.Failed, `{"model":"m","error_type":"audio_error"}`, 1, false, false},
	} {
		t.Run(fmt.Sprint(tt.fetch, " ", tt.status), func(t *testing.T) {
			bubble(t, Completion{Fetch: tt.fetch}, func(t *testing.T, r *rig) {
				r.api.add("a", tt.status)
				r.api.took = time.Second
				it := r.add(completion, "a", tt.status)
				before := r.now(it).event
				elapse(10 * time.Second)
				r.wantState(t, it, queue.Delivered, tt.want)
				o, n := r.get(it)
				if n != 1 || o.Retain != tt.retain || o.Duration != time.Duration(tt.requests)*time.Second || o.Result != queue.Success || r.api.count() != tt.requests {
					t.Errorf("%d outcomes, %+v; requests %v", n, o, r.api.called(""))
				}
				if e := r.now(it).event; e == before || len(before.Transcription) > 0 || e.ID != before.ID {
					t.Error("the stored event was changed")
				}
				if got := r.words(); got != string(Done) {
					t.Errorf("words = %s", got)
				}
			})
		})
	}
}

// An event that the API does not know, or knows with another status, is asked for again for
// 10 minutes and then set aside. Nothing of it is ever delivered.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		there  string // the status at the API, "" if unknown
		reason string
		word   Word
	}{
		"unknown":        {"", ReasonUnknown, Word(rest.Unknown)},
		"another status": {soniox.Failed, ReasonStatus, OtherStatus},
		"unfinished":     {"processing", ReasonStatus, OtherStatus},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Completion{FetchTimeout: time.Minute}, func(t *testing.T, r *rig) {
				if tt.there != "" {
					r.api.add("a", tt.there)
				}
				it := r.add(completion, "a", soniox.Completed)
				elapse(9*time.Minute + 58*time.Second)
				r.wantState(t, it, queue.Pending, "")
				elapse(5 * time.Second)
				r.wantState(t, it, queue.Unconfirmed, "")
				o, n := r.get(it)
				if o.Reason != tt.reason || n < 15 || n > 20 || o.Event != nil || o.Result == queue.Success {
					t.Errorf("%d attempts, %+v", n, o)
				}
				if calls := r.api.count(); calls != n {
					t.Errorf("%d requests in %d attempts: each must ask the API", calls, n)
				}
				if words := strings.Fields(r.words()); Word(words[0]) != tt.word {
					t.Errorf("words = %v", words)
				}
				if r.paused() != "" {
					t.Errorf("an API that answers paused the stage: %s", r.paused())
				}
			})
		})
	}
}

// The API may change its mind about a status, even a final one.
func TestConfirmedWithAnotherStatusFirst(t *testing.T) {
	bubble(t, Completion{}, func(t *testing.T, r *rig) {
		r.api.add("a", soniox.Failed)
		it := r.add(completion, "a", soniox.Completed)
		elapse(5 * time.Minute)
		r.wantState(t, it, queue.Pending, "")
		r.api.add("a", soniox.Completed)
		elapse(time.Minute)
		r.wantState(t, it, queue.Delivered, `{"model":"m","transcript":{"text":"a","tokens":[]}}`)
	})
}

// A webhook may be faster than the API.
func TestConfirmedLate(t *testing.T) {
	bubble(t, Completion{}, func(t *testing.T, r *rig) {
		it := r.add(completion, "a", soniox.Completed)
		elapse(5 * time.Minute)
		r.api.add("a", soniox.Completed)
		elapse(time.Minute)
		r.wantState(t, it, queue.Delivered, `{"model":"m","transcript":{"text":"a","tokens":[]}}`)
	})
}

// While the API cannot be asked, events wait, however long, with few requests, and are
// completed within a minute of its return.
func TestAPIAway(t *testing.T) {
	t.Parallel()
	for kind, status := range map[rest.Kind]int{rest.Unreachable: 0, rest.Timeout: 0, rest.Unauthorized: 401, rest.Quota: 402, rest.RateLimited: 429, rest.InvalidAnswer: 200} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, Completion{FetchTimeout: time.Minute}, func(t *testing.T, r *rig) {
				r.api.failing(always(kind, status))
				var items []*item
				for i := range 20 {
					id := fmt.Sprint("a", i)
					r.api.add(id, soniox.Completed)
					items = append(items, r.add(completion, id, soniox.Completed))
				}
				elapse(48 * time.Hour)
				if n := r.api.count(); n < 2880 || n > 2950 {
					t.Errorf("%d requests in 48 h", n)
				}
				if r.paused() != "paused" || !errors.Is(r.errors()[0], r.stage.Status().Cause) || !r.stage.Status().Paused {
					t.Errorf("pauses = %s, %v, status %+v", r.paused(), r.errors(), r.stage.Status())
				}
				var fresh []*item
				for i := range 20 {
					id := fmt.Sprint("b", i)
					r.api.add(id, soniox.Completed)
					fresh = append(fresh, r.add(completion, id, soniox.Completed))
				}
				elapse(time.Second)
				r.api.failing(nil)
				for r.words() == "" || !strings.HasSuffix(r.words(), string(Done)) {
					elapse(time.Second)
				}
				elapse(time.Second)
				for i, it := range fresh[1:] { // the first may have been a probe
					r.wantState(t, it, queue.Delivered, fmt.Sprintf(`{"model":"m","transcript":{"text":"b%d","tokens":[]}}`, i+1))
				}
				if wait := awayWait(kind, 100); wait > time.Minute {
					t.Errorf("an event waits for %s", wait)
				} else {
					elapse(wait + time.Second)
				}
				for i, it := range items {
					r.wantState(t, it, queue.Delivered, fmt.Sprintf(`{"model":"m","transcript":{"text":"a%d","tokens":[]}}`, i))
				}
				if r.paused() != "paused resumed" {
					t.Errorf("pauses = %s", r.paused())
				}
			})
		})
	}
}

// An event at which the API fails is not the only probe: another one that is due is next.
func TestProbesWithOthers(t *testing.T) {
	t.Parallel()
	for _, kind := range []rest.Kind{rest.InvalidAnswer, rest.Timeout} {
		t.Run(string(kind), func(t *testing.T) {
			bubble(t, Completion{}, func(t *testing.T, r *rig) {
				r.api.failing(func(call string) error {
					if call == "get bad" {
						return errKind(kind, 0)
					}
					return nil
				})
				bad := r.add(completion, "bad", soniox.Completed)
				elapse(time.Hour)
				if r.paused() != "paused" {
					t.Fatalf("pauses = %q", r.paused())
				}
				for i := range 3 {
					id := fmt.Sprint("good", i)
					r.api.add(id, soniox.Completed)
					good := r.add(completion, id, soniox.Completed)
					elapse(2*time.Minute + 2*time.Second)
					r.wantState(t, good, queue.Delivered, `{"model":"m","transcript":{"text":"`+id+`","tokens":[]}}`)
				}
				r.wantState(t, bad, queue.Pending, "")
			})
		})
	}
}

// Retry-After pauses all requests.
func TestRetryAfter(t *testing.T) {
	bubble(t, Completion{}, func(t *testing.T, r *rig) {
		began := time.Now()
		r.api.failing(func(string) error {
			return &rest.Error{Kind: rest.RateLimited, Status: 429, RetryAfter: began.Add(time.Hour)}
		})
		a := r.add(completion, "a", soniox.Completed)
		elapse(time.Second)
		r.api.add("a", soniox.Completed)
		r.api.add("b", soniox.Completed)
		r.api.failing(nil)
		b := r.add(completion, "b", soniox.Completed)
		elapse(59 * time.Minute)
		if n := r.api.count(); n != 1 {
			t.Errorf("%d requests", n)
		}
		elapse(2 * time.Minute)
		r.wantState(t, a, queue.Delivered, `{"model":"m","transcript":{"text":"a","tokens":[]}}`)
		r.wantState(t, b, queue.Delivered, `{"model":"m","transcript":{"text":"b","tokens":[]}}`)
		if r.paused() != "held resumed" {
			t.Errorf("pauses = %s", r.paused())
		}
	})
}

// A confirmed event whose transcript is not there is completed without it after
// fetch_timeout, with few requests and one question whether it is confirmed.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want string
		at   time.Duration
	}{
		{&rest.Error{Kind: rest.NotReady, Status: 409, Type: "transcription_invalid_state"}, "transcription_invalid_state", 30 * time.Minute},
		{errKind(rest.Unreachable, 500), "unreachable", 30 * time.Minute},
		{errKind(rest.Unreachable, 0), "unreachable", 30 * time.Minute},
		{errKind(rest.Timeout, 0), "timeout", 30 * time.Minute},
		{errKind(rest.InvalidAnswer, 200), "invalid_answer", 30 * time.Minute},
		{errKind(rest.Unauthorized, 403), "unauthorized", 30 * time.Minute},
		{errKind(rest.Quota, 402), "quota", 30 * time.Minute},
		{errKind(rest.Unknown, 404), "gone", 10 * time.Minute},
	} {
		t.Run(tt.want, func(t *testing.T) {
			bubble(t, Completion{FetchTimeout: 30 * time.Minute}, func(t *testing.T, r *rig) {
				r.api.add("a", soniox.Completed)
				r.api.failing(func(call string) error {
					if strings.HasPrefix(call, "transcript") {
						return tt.err
					}
					return nil
				})
				it := r.add(completion, "a", soniox.Completed)
				elapse(tt.at - time.Second)
				r.wantState(t, it, queue.Pending, "")
				elapse(3 * time.Second)
				r.wantState(t, it, queue.Delivered, `{"model":"m","unavailable":"`+tt.want+`"}`)
				o, _ := r.get(it)
				if !o.Retain {
					t.Error("its cleanup is not dropped")
				}
				confirms := len(r.api.called("get"))
				if n := r.api.count(); confirms != 1 || n > 45 {
					t.Errorf("%d requests, %d of them to confirm", n, confirms)
				}
				if last := r.last(); last.Unavailable != tt.want {
					t.Errorf("report = %+v", last)
				}
			})
		})
	}
}

// A confirmed event whose time is over while the API is away is completed without a
// request; events that are not confirmed go on waiting.
func TestUnavailableWhilePaused(t *testing.T) {
	bubble(t, Completion{FetchTimeout: 30 * time.Minute}, func(t *testing.T, r *rig) {
		var confirmed []*item
		for i := range 50 {
			id := fmt.Sprint("c", i)
			r.api.add(id, soniox.Completed)
			confirmed = append(confirmed, r.add(completion, id, soniox.Completed))
		}
		r.api.failing(func(call string) error {
			if strings.HasPrefix(call, "transcript") {
				return errKind(rest.Unreachable, 500)
			}
			return nil
		})
		unknown := r.add(completion, "unknown", soniox.Completed)
		elapse(time.Minute)
		r.api.failing(always(rest.Unreachable, 0))
		var waiting []*item
		for i := range 10 {
			id := fmt.Sprint("w", i)
			r.api.add(id, soniox.Completed)
			waiting = append(waiting, r.add(completion, id, soniox.Completed))
		}
		elapse(10 * time.Second)
		before := r.api.count()
		elapse(29*time.Minute - 10*time.Second)
		for _, it := range confirmed {
			r.wantState(t, it, queue.Delivered, `{"model":"m","unavailable":"unreachable"}`)
		}
		if n := r.api.count() - before; n > 40 {
			t.Errorf("%d requests in 29 minutes of a pause", n)
		}
		elapse(24 * time.Hour)
		for _, it := range append(waiting, unknown) {
			r.wantState(t, it, queue.Pending, "")
		}
		r.api.failing(nil)
		elapse(2 * time.Minute)
		for i, it := range waiting {
			r.wantState(t, it, queue.Delivered, fmt.Sprintf(`{"model":"m","transcript":{"text":"w%d","tokens":[]}}`, i))
		}
		elapse(11 * time.Minute)
		r.wantState(t, unknown, queue.Unconfirmed, "")
	})
}

// A restart forgets nothing that matters: neither that an event was confirmed, nor for how
// long it was asked for.
func TestRestart(t *testing.T) {
	bubble(t, Completion{FetchTimeout: 30 * time.Minute}, func(t *testing.T, r *rig) {
		r.api.add("a", soniox.Completed)
		r.api.failing(func(call string) error {
			if strings.HasPrefix(call, "transcript") {
				return errKind(rest.InvalidAnswer, 200)
			}
			return nil
		})
		known := r.add(completion, "a", soniox.Completed)
		unknown := r.add(completion, "b", soniox.Completed)
		for range 6 {
			elapse(4*time.Minute + 30*time.Second)
			if err := r.stage.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			elapse(time.Hour)
			r.stage = NewCompletion(r.fakeQueue, "soniox", source, Completion{API: r.api, FetchTimeout: 30 * time.Minute}, r.recorder)
		}
		r.wantState(t, unknown, queue.Unconfirmed, "")
		r.api.failing(always(rest.Unreachable, 0))
		elapse(10 * time.Minute)
		r.wantState(t, known, queue.Delivered, `{"unavailable":"unreachable"}`)
	})
}

// Several events that wait for the rate limit are confirmed by one page of the list.
func TestConfirmsByList(t *testing.T) {
	bubble(t, Completion{Fetch: FetchNone}, func(t *testing.T, r *rig) {
		r.api.notReady = true
		limiter := make(chan struct{}, 1)
		r.api.wait = func(context.Context) error { // 2 requests a second, one after another
			limiter <- struct{}{}
			time.Sleep(500 * time.Millisecond)
			<-limiter
			return nil
		}
		var items []*item
		for i := range 500 {
			id := fmt.Sprint("a", i)
			r.api.add(id, soniox.Completed)
			items = append(items, r.add(completion, id, soniox.Completed))
		}
		elapse(time.Minute)
		for _, it := range items {
			r.wantState(t, it, queue.Delivered, `{"model":"m"}`)
		}
		if n := r.api.count(); n > 10 {
			t.Errorf("%d requests for 500 events", n)
		}
	})
}

// A list that has less than the API knows of each transcription confirms none.
func TestConfirmsByABareList(t *testing.T) {
	bubble(t, Completion{Fetch: FetchNone}, func(t *testing.T, r *rig) {
		r.api.notReady, r.api.bareList = true, true
		r.api.took = 500 * time.Millisecond
		var items []*item
		for i := range 40 {
			id := fmt.Sprint("a", i)
			r.api.add(id, soniox.Completed)
			items = append(items, r.add(completion, id, soniox.Completed))
		}
		elapse(time.Minute)
		if lists := len(r.api.called("list")); lists < 1 {
			t.Error("the list was not asked for")
		}
		for _, it := range items {
			r.wantState(t, it, queue.Delivered, `{"model":"m"}`)
		}
	})
}

// A request for a transcript ends with fetch_timeout, however slow the API is.
func TestTranscriptEndsWithFetchTimeout(t *testing.T) {
	bubble(t, Completion{FetchTimeout: 20 * time.Second}, func(t *testing.T, r *rig) {
		r.api.add("a", soniox.Completed)
		r.api.failing(func(call string) error {
			if strings.HasPrefix(call, "transcript") {
				return errKind(rest.Unreachable, 500)
			}
			return nil
		})
		it := r.add(completion, "a", soniox.Completed)
		elapse(time.Minute)
		r.wantState(t, it, queue.Delivered, `{"model":"m","unavailable":"unreachable"}`)
		last := r.api.timeouts[len(r.api.timeouts)-1]
		if r.api.timeouts[0] != 20*time.Second || last > 3*time.Second || last < minTranscriptTime {
			t.Errorf("requests were bounded by %v", r.api.timeouts)
		}
	})
}

// A list that has none of them is not asked for again and again.
func TestConfirmsByListInVain(t *testing.T) {
	bubble(t, Completion{Fetch: FetchNone}, func(t *testing.T, r *rig) {
		r.api.notReady = true
		r.api.took = 500 * time.Millisecond
		for i := range 40 {
			r.add(completion, fmt.Sprint("a", i), soniox.Completed)
		}
		elapse(9 * time.Minute)
		if lists := len(r.api.called("list")); lists < 1 || lists > 10 {
			t.Errorf("%d lists in 9 minutes", lists)
		}
	})
}

// Close waits for attempts, then cancels them: their events are as if they had not been
// tried.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, patience := range []time.Duration{time.Minute, time.Second} {
			q, api := &fakeQueue{}, newFakeAPI()
			api.took = 10 * time.Second
			api.add("a", soniox.Completed)
			it := q.add(completion, "a", soniox.Completed)
			s := NewCompletion(q, "soniox", source, Completion{API: api, Fetch: FetchNone}, nil)
			elapse(time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			if err := s.Close(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			want := queue.Delivered
			if patience == time.Second {
				want = queue.Pending
			}
			if got := q.now(it); got.state != want || got.claimed || got.releases > 0 != (want == queue.Pending) {
				t.Errorf("after %s: %+v", patience, got)
			}
		}
	})
}

// An event that cannot be loaded holds up nothing.
func TestLoadErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err   error
		state queue.State
	}{
		"purged":      {queue.ErrNotFound, queue.Delivered},
		"unreadable":  {queue.ErrUnreadable, queue.Delivered},
		"unavailable": {queue.ErrUnavailable, queue.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Completion{}, func(t *testing.T, r *rig) {
				r.failLoads(tt.err)
				it := r.add(completion, "a", soniox.Completed)
				elapse(time.Minute)
				if got := r.now(it); got.state != tt.state || got.event.Transcription != nil || r.api.count() != 0 {
					t.Errorf("%+v", got)
				}
				if tt.state == queue.Delivered {
					return
				}
				if n := len(r.errors()); n < 1 || n > 2 {
					t.Errorf("problems = %v", r.errors())
				}
				r.failLoads(nil)
				r.api.add("a", soniox.Completed)
				elapse(time.Minute)
				if got := r.now(it); got.state != queue.Delivered {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// A panic costs neither the process nor the event.
func TestPanic(t *testing.T) {
	bubble(t, Completion{}, func(t *testing.T, r *rig) {
		r.api.failing(func(string) error { panic("patient Doe") })
		it := r.add(completion, "a", soniox.Completed)
		elapse(10 * time.Second)
		r.wantState(t, it, queue.Pending, "")
		for _, x := range r.reports {
			if x.Err == nil || strings.Contains(x.Err.Error(), "Doe") {
				t.Errorf("error = %v", x.Err)
			}
		}
		r.api.add("a", soniox.Completed)
		r.api.failing(nil)
		elapse(2 * time.Minute)
		r.wantState(t, it, queue.Delivered, `{"model":"m","transcript":{"text":"a","tokens":[]}}`)
	})
}

// New settings are those of later attempts, and end a pause by a probe.
func TestConfigure(t *testing.T) {
	bubble(t, Completion{}, func(t *testing.T, r *rig) {
		r.api.failing(always(rest.Unauthorized, 401))
		it := r.add(completion, "a", soniox.Completed)
		elapse(24 * time.Hour)
		other := newFakeAPI()
		other.add("a", soniox.Completed)
		r.stage.Configure(Completion{API: other, Fetch: FetchText}, r.recorder)
		elapse(11 * time.Second)
		r.wantState(t, it, queue.Delivered, `{"model":"m","transcript":{"text":"a"}}`)
	})
}

// What an attempt waits for api_rate is no part of its duration, and so of fetch_timeout.
func TestDurationWithoutRateLimit(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + l.Addr().String()
	_ = l.Close() // nothing is there
	synctest.Test(t, func(t *testing.T) {
		api, err := soniox.New(rest.Options{Base: base, Key: func() string { return "key" }, Rate: 6})
		if err != nil {
			t.Fatal(err)
		}
		q := &fakeQueue{}
		var items []*item
		for i := range 4 {
			items = append(items, q.add(completion, fmt.Sprint("a", i), soniox.Completed))
		}
		began := time.Now()
		s := NewCompletion(q, "soniox", source, Completion{API: api}, nil)
		elapse(45 * time.Second)
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		var last time.Time
		for _, it := range items {
			o := q.now(it).outcomes[0]
			if o.Duration != 0 || o.Result != queue.ConnectError || !o.At.Equal(began) {
				t.Errorf("%s: %s at %s, %s", it.delivery.Subject, o.Duration, o.At.Sub(began), o.Result)
			}
			if o.Next.After(last) {
				last = o.Next
			}
		}
		if waited := last.Sub(began); waited < 20*time.Second {
			t.Errorf("the last one waited for %s", waited)
		}
	})
}
