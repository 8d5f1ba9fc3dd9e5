package results

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var (
	completion = queue.Completion("soniox", source)
	cleanup    = queue.Cleanup("soniox", source)
)

// elapse lets time pass, and waits until everything that is due then is done.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantStates(t *testing.T, q *fakeQueue, want map[string]queue.State) {
	t.Helper()
	if got := q.states(); !maps.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
}

// Over a reload a stage goes on: what is in flight ends by itself, and what comes later uses
// the new settings and the new observer.
func TestApplyKeepsStages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := func(ctx context.Context) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		q, before, after := new(fakeQueue), &fakeAPI{answer: slow}, new(fakeAPI)
		s := New(q, nil)
		first, _, firstTrail := observed()
		s.Apply([]API{completes(source, before), deletes(source, before)}, first)
		synctest.Wait() // the stages have found nothing
		q.add(completion, "a")
		q.add(cleanup, "b")
		s.Wake(completion)
		s.Wake(cleanup)
		synctest.Wait()
		if n := before.asked.Load(); n != 2 {
			t.Errorf("%d requests after Wake, want 2", n)
		}

		second, _, secondTrail := observed()
		s.Apply([]API{completes(source, after), deletes(source, after)}, second)
		q.add(completion, "c")
		q.add(cleanup, "d")
		s.Wake(completion)
		s.Wake(cleanup)
		elapse(time.Second)
		wantStates(t, q, map[string]queue.State{"c": queue.Delivered, "d": queue.Delivered})
		elapse(time.Minute)
		wantStates(t, q, map[string]queue.State{"a": queue.Delivered, "b": queue.Delivered, "c": queue.Delivered, "d": queue.Delivered})
		if before.asked.Load() != 2 || after.asked.Load() != 2 {
			t.Errorf("%d requests before the reload and %d after it, want 2 and 2", before.asked.Load(), after.asked.Load())
		}
		if firstTrail.Len() != 0 || secondTrail.Len() != 4 {
			t.Errorf("the audit trails have %d and %d lines, want 0 and 4", firstTrail.Len(), secondTrail.Len())
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A stage that the configuration has no more ends. Its requests may go on for a moment, then
// they are cancelled, and their events stay in the queue.
func TestApplyClosesStages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		q := new(fakeQueue)
		o, _, _ := observed()
		s := New(q, nil)
		s.Apply([]API{completes(source, &fakeAPI{answer: hang}), deletes(source, &fakeAPI{answer: hang})}, o)
		synctest.Wait() // the stages have found nothing
		q.add(completion, "a")
		q.add(cleanup, "b")
		s.Probe() // asks the queue too
		synctest.Wait()
		if q.left() > 0 {
			t.Error("Probe did not wake the stages")
		}
		if !s.Has(completion) || !s.Has(cleanup) {
			t.Error("the stages do not run")
		}

		s.Apply([]API{completes("https://other.example", new(fakeAPI))}, o)
		if s.Has(completion) || s.Has(cleanup) || !s.Has(queue.Completion("soniox", "https://other.example")) {
			t.Error("the stages are not those of the new configuration")
		}
		s.Wake(completion)
		elapse(4 * time.Second)
		wantStates(t, q, map[string]queue.State{})
		elapse(2 * time.Second)
		wantStates(t, q, map[string]queue.State{"a": "released", "b": "released"})
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The background of a configuration ends with it. It has the store of the set and the
// logger of its configuration.
func TestApplyReplacesTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := new(fakeStore)
		s := New(new(fakeQueue), store)
		var mu sync.Mutex
		running := make(map[string]bool)
		set := func(name string, runs bool) {
			mu.Lock()
			defer mu.Unlock()
			if running[name] = runs; !runs {
				delete(running, name)
			}
		}
		background := func(name string) API {
			return API{Provider: "soniox", Source: name, Background: func(ctx context.Context, got Store, logger *zap.Logger) {
				set(name, true)
				defer set(name, false)
				if got != store {
					t.Error("another store")
				}
				logger.Info(name)
				<-ctx.Done()
			}}
		}
		want := func(names ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for _, name := range names {
				if !running[name] {
					t.Errorf("the background of %s does not run", name)
				}
			}
			if len(running) != len(names) {
				t.Errorf("running: %v, want %v", running, names)
			}
		}
		first, log, _ := observed()
		s.Apply([]API{background("a"), background("b")}, first)
		want("a", "b")
		second, newLog, _ := observed()
		s.Apply([]API{background("c")}, second)
		want("c")
		if log.Len() != 2 || newLog.Len() != 1 {
			t.Errorf("the logs have %d and %d lines, want 2 and 1", log.Len(), newLog.Len())
		}
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		want()
		s.Apply([]API{background("d"), completes(source, new(fakeAPI))}, second)
		want()
		if s.Has(completion) {
			t.Error("Apply started a stage after Close")
		}
	})
}

// The background of a configuration begins when that of the configuration before it has
// ended: both may be about the same account.
func TestBackgroundsDoNotOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log []string
		record := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, what)
		}
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(log, want) {
				t.Errorf("happened: %q, want %q", log, want)
			}
		}
		release := make(chan struct{})
		first := func(ctx context.Context, _ Store, _ *zap.Logger) {
			record("first begins")
			<-ctx.Done()
			<-release // a request takes a while to end
			record("first ends")
		}
		second := func(ctx context.Context, _ Store, _ *zap.Logger) {
			record("second begins")
			<-ctx.Done()
			record("second ends")
		}
		s, o := New(nil, nil), &Observer{Logger: zap.NewNop()}
		s.Apply([]API{{Provider: "soniox", Source: "urn:a", Background: first}}, o)
		check("first begins")
		s.Apply(nil, o)
		s.Apply([]API{{Provider: "soniox", Source: "urn:a", Background: second}}, o)
		check("first begins")
		close(release)
		check("first begins", "first ends", "second begins")
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		check("first begins", "first ends", "second begins", "second ends")
	})
}

// When the context of Close ends, requests are cancelled.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := new(fakeQueue)
		o, _, _ := observed()
		s := New(q, nil)
		q.add(completion, "a")
		s.Apply([]API{completes(source, &fakeAPI{answer: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}})}, o)
		elapse(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Minute {
			t.Errorf("Close took %s, want the time that it was given", took)
		}
		wantStates(t, q, map[string]queue.State{"a": "released"})
		if s.Has(completion) {
			t.Error("a stage runs after Close")
		}
	})
}
