package caddymodule

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

// A disk that fails is told once a minute and not with every attempt, and so is
// that it is over.
func TestWriting(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zap.DebugLevel)
	logger := func() *zap.Logger { return zap.New(core) }
	var w writing
	failed := errors.New("no space left on device")
	for range 100 {
		w.observe(failed, logger)
	}
	if !errors.Is(w.failure(), failed) {
		t.Errorf("the failure is %v, want %v", w.failure(), failed)
	}
	w.observe(nil, logger)
	if w.failure() != nil {
		t.Errorf("the failure is %v after it was over", w.failure())
	}
	w.observe(failed, logger)
	var levels []string
	for _, e := range logs.All() {
		levels = append(levels, e.Level.String())
	}
	if want := "error info error"; strings.Join(levels, " ") != want {
		t.Errorf("logged %v, want %s", levels, want)
	}
}
