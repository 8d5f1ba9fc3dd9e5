package result

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
)

var cleanup = queue.Cleanup("soniox", source)

// addFile adds a transcription of a file.
func (f *fakeAPI) addFile(id, status, file string) {
	f.add(id, status)
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.transcriptions[id]
	t.FileID = file
	f.transcriptions[id] = t
	f.files[file] = true
}

// left returns the ids of the transcriptions and files that are there.
func (f *fakeAPI) left() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var ids []string
	for id := range f.transcriptions {
		ids = append(ids, id)
	}
	for id := range f.files {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

type cleanupRig struct {
	*fakeQueue
	*recorder

	api   *fakeAPI
	stage *CleanupStage
}

func (r *cleanupRig) start() {
	r.stage = NewCleanup(r.fakeQueue, "soniox", source, Cleanup{API: r.api}, r.recorder)
}

func cleanupBubble(t *testing.T, test func(t *testing.T, r *cleanupRig)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &cleanupRig{fakeQueue: &fakeQueue{}, recorder: &recorder{}, api: newFakeAPI()}
		r.start()
		r.fakeQueue.wake = func() { r.stage.Wake() }
		test(t, r)
		if err := r.stage.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestCleanup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		there func(api *fakeAPI)
		left  string
		calls string
	}{
		"transcription and file": {func(api *fakeAPI) { api.addFile("a", "completed", "f") }, "", "get a,list ,delete a,delete file f"},
		"no file":                {func(api *fakeAPI) { api.add("a", "completed") }, "", "get a,delete a"},
		"gone already":           {func(*fakeAPI) {}, "", "get a"},
		"the file is gone": {func(api *fakeAPI) {
			api.addFile("a", "completed", "f")
			delete(api.files, "f")
		}, "", "get a,list ,delete a,delete file f"},
		"another has the file, on the last page": {func(api *fakeAPI) {
			api.pageSize = 2
			for i := range 6 {
				api.add(fmt.Sprint("b", i), "completed")
			}
			api.addFile("z", "queued", "f")
			api.addFile("a", "completed", "f")
		}, "b0 b1 b2 b3 b4 b5 f z", "get a,list ,list b0,list b2,list b4,delete a,list ,list b1,list b3,list b5"},
	} {
		t.Run(name, func(t *testing.T) {
			cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
				tt.there(r.api)
				it := r.add(cleanup, "a", soniox.Completed)
				elapse(time.Minute)
				if got := r.now(it); got.state != queue.Delivered || r.api.left() != tt.left {
					t.Errorf("%s, left: %s", got.state, r.api.left())
				}
				if calls := strings.Join(r.api.called(""), ","); calls != tt.calls {
					t.Errorf("calls = %s", calls)
				}
			})
		})
	}
}

// Wherever the process is killed, the next one deletes what is left: the transcription
// first, and its file, which nothing at Soniox names any more by then.
func TestCleanupKilled(t *testing.T) {
	t.Parallel()
	for _, killed := range []string{"get a", "list ", "delete a", "delete file f"} {
		for _, done := range []bool{false, true} { // whether the API has done it by then
			t.Run(fmt.Sprint(killed, done), func(t *testing.T) {
				cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
					r.api.addFile("a", "completed", "f")
					r.api.failing(func(call string) error {
						if call != killed {
							return nil
						}
						if done && killed == "delete a" {
							delete(r.api.transcriptions, "a")
						}
						if done && killed == "delete file f" {
							delete(r.api.files, "f")
						}
						<-r.stage.ctx.Done()
						return r.stage.ctx.Err()
					})
					it := r.add(cleanup, "a", soniox.Completed)
					elapse(time.Second)
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					defer cancel()
					if err := r.stage.Close(ctx); err != nil {
						t.Fatal(err)
					}
					if got := r.now(it); got.state != queue.Pending || got.claimed {
						t.Fatalf("%+v", got)
					}
					r.api.failing(nil)
					r.start()
					elapse(time.Minute)
					if got := r.now(it); got.state != queue.Delivered || r.api.left() != "" {
						t.Errorf("%s, left: %s", got.state, r.api.left())
					}
				})
			})
		}
	}
}

// Transcriptions that share a file and are deleted at the same time leave none.
func TestCleanupOfASharedFile(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		r.api.took = time.Second
		for i := range 20 {
			r.api.addFile(fmt.Sprint("a", i), "completed", "f")
			r.add(cleanup, fmt.Sprint("a", i), soniox.Completed)
		}
		elapse(10 * time.Minute)
		if left := r.api.left(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

// If the list does not say who has which file, the file stays: another one may need it.
func TestCleanupWithABareList(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		r.api.bareList = true
		r.api.addFile("a", "completed", "f")
		r.api.addFile("b", "completed", "f")
		it := r.add(cleanup, "a", soniox.Completed)
		elapse(time.Minute)
		if got := r.now(it); got.state != queue.Delivered || r.api.left() != "b f" {
			t.Errorf("%s, left: %s", got.state, r.api.left())
		}
	})
}

// Two that are deleted at the very same time leave no file either: each has seen that the
// other one has it.
func TestCleanupAtTheSameTime(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		var looked sync.WaitGroup
		looked.Add(2)
		both := make(chan struct{})
		go func() {
			looked.Wait()
			close(both)
		}()
		r.api.failing(func(call string) error {
			if strings.HasPrefix(call, "delete ") && !strings.HasPrefix(call, "delete file") {
				looked.Done()
				<-both
			}
			return nil
		})
		for _, id := range []string{"a", "b"} {
			r.api.addFile(id, "completed", "f")
			r.add(cleanup, id, soniox.Completed)
		}
		elapse(time.Minute)
		if left := r.api.left(); left != "" {
			t.Errorf("left: %s", left)
		}
	})
}

// Many deletions share the looks through the list.
func TestCleanupLooks(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		r.api.took = time.Second
		for i := range 80 {
			r.api.addFile(fmt.Sprint("a", i), "completed", fmt.Sprint("f", i))
			r.add(cleanup, fmt.Sprint("a", i), soniox.Completed)
		}
		elapse(10 * time.Minute)
		if left, n := r.api.left(), len(r.api.called("list")); left != "" || n > 60 {
			t.Errorf("%d looks, left: %s", n, left)
		}
	})
}

// A transcription that is still processed is deleted later.
func TestCleanupNotReady(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		r.api.addFile("a", "processing", "f")
		it := r.add(cleanup, "a", soniox.Completed)
		elapse(10 * time.Minute)
		if got := r.now(it); got.state != queue.Pending || r.api.left() != "a f" || len(got.outcomes) > 6 {
			t.Errorf("%s after %d attempts, left: %s", got.state, len(got.outcomes), r.api.left())
		}
		r.api.addFile("a", "completed", "f")
		elapse(15 * time.Minute)
		if got := r.now(it); got.state != queue.Delivered || r.api.left() != "" {
			t.Errorf("%s, left: %s", got.state, r.api.left())
		}
	})
}

// Failures are retried with growing waits, and for a bounded time. A key that may only
// read pauses the stage.
func TestCleanupFails(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		r.api.addFile("a", "completed", "f")
		r.api.failing(func(call string) error {
			if strings.HasPrefix(call, "delete") {
				return errKind(rest.Unauthorized, 403)
			}
			return nil
		})
		it := r.add(cleanup, "a", soniox.Completed)
		elapse(71 * time.Hour)
		if got := r.now(it); got.state != queue.Pending || len(got.outcomes) > 80 {
			t.Errorf("%s after %d attempts", got.state, len(got.outcomes))
		}
		if r.paused() != "paused" {
			t.Errorf("pauses = %s", r.paused())
		}
		elapse(3 * time.Hour)
		if got := r.now(it); got.state != queue.Dead || r.api.left() != "a f" {
			t.Errorf("%s, left: %s", got.state, r.api.left())
		}
	})
}

func TestCleanupAPIAway(t *testing.T) {
	cleanupBubble(t, func(t *testing.T, r *cleanupRig) {
		r.api.failing(always(rest.Unreachable, 500))
		var items []*item
		for i := range 20 {
			r.api.addFile(fmt.Sprint("a", i), "completed", fmt.Sprint("f", i))
			items = append(items, r.add(cleanup, fmt.Sprint("a", i), soniox.Completed))
		}
		elapse(24 * time.Hour)
		r.api.failing(nil)
		elapse(61 * time.Minute)
		for _, it := range items {
			if got := r.now(it); got.state != queue.Delivered {
				t.Errorf("%s is %s", got.delivery.Subject, got.state)
			}
		}
		if r.api.left() != "" {
			t.Errorf("left: %s", r.api.left())
		}
	})
}
