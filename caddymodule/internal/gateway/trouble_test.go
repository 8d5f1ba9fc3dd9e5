package gateway

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"
)

// A disk that fails is logged once a minute and not with every attempt, and so is the end of the
// failure.
func TestTrouble(t *testing.T) {
	t.Parallel()
	core, logs := zapobserver.New(zap.DebugLevel)
	logger := func() *zap.Logger { return zap.New(core) }
	w := trouble{begun: "begun", over: "over"}
	w.observe(nil, logger) // nothing to report
	failed := errors.New("no space left on device")
	for range 100 {
		w.observe(failed, logger)
	}
	if since, err := w.failure(); !errors.Is(err, failed) || time.Since(since) < 0 {
		t.Errorf("the failure is %v since %s, want %v", err, since, failed)
	}
	w.observe(nil, logger)
	if _, err := w.failure(); err != nil {
		t.Errorf("the failure is %v after it was over", err)
	}
	w.observe(failed, logger)
	var levels []string
	for _, e := range logs.All() {
		levels = append(levels, e.Level.String()+" "+e.Message)
	}
	if want := "error begun, info over, error begun"; strings.Join(levels, ", ") != want {
		t.Errorf("logged %v, want %s", levels, want)
	}
}
