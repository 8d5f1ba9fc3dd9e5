package model_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A faulty queue calls its non-nil functions instead of the reference's methods.
type faulty struct {
	queue.Queue
	store  func(context.Context, queue.Item) (queue.Receipt, error)
	claim  func(string, time.Time, queue.Want) (queue.Claimed, error)
	settle func(queue.Outcome)
	events func(context.Context, queue.Filter) (queue.Page, error)
	event  func(context.Context, string) (queue.Record, error)
	replay func(context.Context, queue.ReplaySelection) (queue.Replayed, error)
	purge  func(context.Context, queue.PurgeSelection) (int, error)
	stats  func() (queue.Stats, error)
}

func (f *faulty) Store(ctx context.Context, it queue.Item) (queue.Receipt, error) {
	if f.store != nil {
		return f.store(ctx, it)
	}
	return f.Queue.Store(ctx, it)
}

func (f *faulty) Claim(upstream string, now time.Time, w queue.Want) (queue.Claimed, error) {
	if f.claim != nil {
		return f.claim(upstream, now, w)
	}
	return f.Queue.Claim(upstream, now, w)
}

func (f *faulty) Settle(o queue.Outcome) {
	if f.settle != nil {
		f.settle(o)
		return
	}
	f.Queue.Settle(o)
}

func (f *faulty) Events(ctx context.Context, filter queue.Filter) (queue.Page, error) {
	if f.events != nil {
		return f.events(ctx, filter)
	}
	return f.Queue.Events(ctx, filter)
}

func (f *faulty) Event(ctx context.Context, id string) (queue.Record, error) {
	if f.event != nil {
		return f.event(ctx, id)
	}
	return f.Queue.Event(ctx, id)
}

func (f *faulty) Replay(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
	if f.replay != nil {
		return f.replay(ctx, s)
	}
	return f.Queue.Replay(ctx, s)
}

func (f *faulty) Purge(ctx context.Context, s queue.PurgeSelection) (int, error) {
	if f.purge != nil {
		return f.purge(ctx, s)
	}
	return f.Queue.Purge(ctx, s)
}

func (f *faulty) Stats() (queue.Stats, error) {
	if f.stats != nil {
		return f.stats()
	}
	return f.Queue.Stats()
}

// A failureRecorder records whether a test has failed, and does not let the test fail.
type failureRecorder struct {
	testing.TB
	failed atomic.Bool
}

// run returns when the test has returned or ended early.
func (r *failureRecorder) run(test func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		test()
	}()
	<-done
}

func (r *failureRecorder) Error(...any)          { r.failed.Store(true) }
func (r *failureRecorder) Errorf(string, ...any) { r.failed.Store(true) }
func (r *failureRecorder) Fatal(...any)          { r.FailNow() }
func (r *failureRecorder) Fatalf(string, ...any) { r.FailNow() }

func (r *failureRecorder) FailNow() {
	r.failed.Store(true)
	runtime.Goexit()
}
