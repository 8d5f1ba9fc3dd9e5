package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, release, runs := new(Registry), make(chan struct{}), 0
		run := func(_ context.Context, report func(done, total int64)) any {
			runs++
			report(3, 10)
			<-release
			return "an outcome"
		}
		j, err := r.Start("a", "about", run)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		j.Wait(t.Context(), time.Second)
		if time.Since(began) != time.Second {
			t.Errorf("waited %s", time.Since(began))
		}
		if s := j.State(); !s.Running() || s.Done != 3 || s.Total != 10 || s.Outcome != nil {
			t.Errorf("while it runs: %+v", s)
		}
		if again, err := r.Start("a", "again", run); again != j || err != nil || r.Get("a") != j || again.About != "about" {
			t.Errorf("the same id: %v, %v", again, err)
		}
		close(release)
		j.Wait(t.Context(), time.Hour)
		if s := j.State(); s.Running() || s.Outcome != "an outcome" || s.Ended.Sub(s.Began) != time.Second {
			t.Errorf("at the end: %+v", s)
		}
		if again, _ := r.Start("a", nil, run); again != j || runs != 1 {
			t.Errorf("the same id after the end: %v, %d runs", again, runs)
		}
		time.Sleep(Keep - time.Nanosecond)
		if r.Get("a") != j {
			t.Error("the job is forgotten too early")
		}
		time.Sleep(time.Nanosecond)
		if r.Get("a") != nil {
			t.Error("the job is not forgotten")
		}
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, release := new(Registry), make(chan struct{})
		wait := func(context.Context, func(int64, int64)) any { <-release; return nil }
		for i := range maxRunning {
			if _, err := r.Start(fmt.Sprint("running ", i), nil, wait); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := r.Start("one more", nil, wait); !errors.Is(err, ErrBusy) {
			t.Errorf("one more: %v", err)
		}
		if j, err := r.Start("running 0", nil, wait); j == nil || err != nil {
			t.Errorf("one that runs: %v", err)
		}
		close(release)
		synctest.Wait()
		for i := range 3 * maxFinished {
			j, err := r.Start(fmt.Sprint("finished ", i), nil, wait)
			if err != nil {
				t.Fatal(err)
			}
			j.Wait(t.Context(), time.Second)
		}
		if r.Get("running 0") != nil || len(r.jobs) > maxFinished {
			t.Errorf("%d jobs are kept", len(r.jobs))
		}
		if r.Get(fmt.Sprint("finished ", 3*maxFinished-1)) == nil {
			t.Error("the newest job is forgotten")
		}
	})
}
