package caddymodule

import (
	"sync"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

const (
	// sampleFirst is how many rejections of each kind are told one by one in
	// a window: a flood of forged requests must not fill the disk. The metric
	// counts them all.
	sampleFirst  = 10
	sampleWindow = time.Second
)

// A flood says which rejections are told one by one, and how many of each kind
// were not.
type flood struct {
	// leftOut is told at the end of each window in which some were not.
	leftOut func(reason verifier.Reason, n int)

	mu      sync.Mutex
	windows map[verifier.Reason]*floodWindow
}

type floodWindow struct {
	end           time.Time
	told, leftOut int
}

func newFlood(leftOut func(reason verifier.Reason, n int)) *flood {
	return &flood{leftOut: leftOut, windows: make(map[verifier.Reason]*floodWindow)}
}

// admit reports whether a rejection is to be told.
func (f *flood) admit(reason verifier.Reason) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	w := f.windows[reason]
	if w == nil || !now.Before(w.end) {
		w = &floodWindow{end: now.Add(sampleWindow)}
		f.windows[reason] = w
	}
	if w.told < sampleFirst {
		w.told++
		return true
	}
	w.leftOut++
	if w.leftOut == 1 {
		time.AfterFunc(w.end.Sub(now), func() { f.close(reason, w) })
	}
	return false
}

func (f *flood) close(reason verifier.Reason, w *floodWindow) {
	f.mu.Lock()
	n := w.leftOut
	f.mu.Unlock()
	f.leftOut(reason, n)
}
