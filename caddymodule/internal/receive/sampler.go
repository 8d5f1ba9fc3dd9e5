package receive

import (
	"sync"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

const (
	// SampleFirst is the number of rejections of each reason that are logged in a
	// window. Forged requests must not fill the disk. The metric counts all of them.
	SampleFirst  = 10
	sampleWindow = time.Second
)

// A Sampler selects the rejections that are logged, and counts the others.
type Sampler struct {
	suppressed func(reason verifier.Reason, n int)

	mu      sync.Mutex
	windows map[verifier.Reason]*window
}

// A window counts the rejections of one reason in sampleWindow.
type window struct {
	end                time.Time
	logged, suppressed int
}

// NewSampler returns a sampler. At the end of each window with suppressed rejections it
// calls suppressed with their number.
func NewSampler(suppressed func(reason verifier.Reason, n int)) *Sampler {
	return &Sampler{suppressed: suppressed, windows: make(map[verifier.Reason]*window)}
}

// Admit reports whether to log a rejection. It counts the rejection.
func (s *Sampler) Admit(reason verifier.Reason) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	w := s.windows[reason]
	if w == nil || !now.Before(w.end) {
		w = &window{end: now.Add(sampleWindow)}
		s.windows[reason] = w
	}
	if w.logged < SampleFirst {
		w.logged++
		return true
	}
	w.suppressed++
	if w.suppressed == 1 {
		time.AfterFunc(w.end.Sub(now), func() { s.close(reason, w) })
	}
	return false
}

func (s *Sampler) close(reason verifier.Reason, w *window) {
	s.mu.Lock()
	n := w.suppressed
	s.mu.Unlock()
	s.suppressed(reason, n)
}
