package logging

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// recorded returns the warnings of a configuration without their times.
func recorded(l *Logs) []Warning {
	all := l.Warnings()
	for i := range all {
		all[i].At = time.Time{}
	}
	return all
}

// A warning is recorded with its logger's fields and its own, in their order.
func TestWarningsAreRecorded(t *testing.T) {
	t.Parallel()
	for name, inner := range map[string]zapcore.LevelEnabler{
		"every level": zapcore.DebugLevel, "errors only": zapcore.ErrorLevel, "nothing": zapcore.InvalidLevel,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var l Logs
			var log gatedLog
			core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&log), inner)
			if inner == zapcore.InvalidLevel {
				core = zapcore.NewNopCore() // as Caddy's logger is where each log leaves the module out
			}
			q := newQueue(func() *zap.Logger { return zap.New(core) }, zapcore.WarnLevel, "dropped")
			logger := l.warnings.record(q.wrap(zap.New(core).Named("scribegate")))
			before := time.Now()
			logger.Debug("debug")
			logger.Info("info")
			logger.Error("error")
			one := logger.With(zap.String("provider", "soniox"))
			one.Warn("of a handler", zap.Strings("types", []string{"a", "b"}), zap.Skip(), zap.Int("entry", 2), zap.Duration("ahead", time.Minute))
			logger.Named("below").Warn("of the app", zap.Error(errors.New("it failed")), zap.Time("at", time.Unix(0, 0).UTC()), zap.Bool("yes", true))
			two := logger.With(zap.String("provider", "soapnoteapi")).With(zap.String("source", "urn:a"))
			two.Warn("of another handler")

			want := []Warning{
				{Logger: "scribegate", Message: "of a handler", Fields: []Field{{"provider", "soniox"}, {"types", "a, b"}, {"entry", "2"}, {"ahead", "1m0s"}}},
				{Logger: "scribegate.below", Message: "of the app", Fields: []Field{{"error", "it failed"}, {"at", "1970-01-01T00:00:00Z"}, {"yes", "true"}}},
				{Logger: "scribegate", Message: "of another handler", Fields: []Field{{"provider", "soapnoteapi"}, {"source", "urn:a"}}},
			}
			if got := recorded(&l); !reflect.DeepEqual(got, want) {
				t.Errorf("recorded\n%v, want\n%v", got, want)
			}
			for _, w := range l.Warnings() {
				if w.At.Before(before) || w.At.After(time.Now()) {
					t.Errorf("%q is of %s", w.Message, w.At)
				}
			}
		})
	}
}

// The line of the log is the same, and nothing is recorded of what concerns an event.
func TestRecordedLinesAreWritten(t *testing.T) {
	t.Parallel()
	var l Logs
	var log gatedLog
	q, logger := queuedLogger(&log)
	logger.Warn("of an event")
	l.warnings.record(logger).With(zap.Int("n", 1)).Warn("of the configuration", zap.Int("m", 2))
	q.flush()
	want := []string{`{"level":"warn","msg":"of an event"}`, `{"level":"warn","msg":"of the configuration","n":1,"m":2}`}
	if got := log.lines(); !slices.Equal(got, want) {
		t.Errorf("written %v, want %v", got, want)
	}
	if got := l.Warnings(); len(got) != 1 || got[0].Message != "of the configuration" {
		t.Errorf("recorded %v", got)
	}
}

// A log that cannot be written does not hide warnings.
func TestWarningsWhileTheLogIsStuck(t *testing.T) {
	t.Parallel()
	var l Logs
	log := gatedLog{stuck: make(chan struct{})}
	defer close(log.stuck)
	_, logger := queuedLogger(&log)
	l.warnings.record(logger).Warn("of the configuration")
	if got := l.Warnings(); len(got) != 1 {
		t.Errorf("recorded %v", got)
	}
}

// What many loggers warn of is recorded once, and there is a limit.
func TestWarningsAreFew(t *testing.T) {
	t.Parallel()
	var l Logs
	logger := l.warnings.record(zap.NewNop())
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range maxWarnings / 2 {
				logger.Warn("repeated", zap.Int("i", i))
				l.Warnings()
			}
		})
	}
	all.Wait()
	if n := len(l.Warnings()); n != maxWarnings/2 {
		t.Errorf("%d warnings, want %d", n, maxWarnings/2)
	}
	for i := range 2 * maxWarnings {
		logger.Warn(fmt.Sprint("warning ", i))
	}
	got := l.Warnings()
	if len(got) != maxWarnings || got[maxWarnings/2].Message != "warning 0" {
		t.Errorf("%d warnings, want the first %d", len(got), maxWarnings)
	}
}

// All modules of a configuration share its warnings, and another one has none of them.
func TestWarningsOfAConfiguration(t *testing.T) {
	t.Parallel()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	other, cancelOther := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancelOther()
	Configuration(ctx).Warn("first")
	Configuration(ctx, app{}).Warn("second")
	Logger(ctx).Warn("of an event")
	if got := recorded(Of(ctx)); len(got) != 2 || got[0].Message != "first" || got[1].Message != "second" {
		t.Errorf("recorded %v", got)
	}
	if got := Of(other).Warnings(); len(got) != 0 {
		t.Errorf("the other configuration has %v", got)
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); len(Of(ctx).Warnings()) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the warnings are kept after the end of the configuration")
		}
	}
}
