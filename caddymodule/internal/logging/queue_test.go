package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A gatedLog is a log that can be stuck or fail.
type gatedLog struct {
	stuck chan struct{} // closed when it no longer is; nil where it never was

	mu   sync.Mutex
	err  error
	text strings.Builder
}

func (l *gatedLog) Write(p []byte) (int, error) {
	if l.stuck != nil {
		<-l.stuck
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	return l.text.Write(p)
}

// fail has each write end so from now on.
func (l *gatedLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// lines returns what was written.
func (l *gatedLog) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSuffix(l.text.String(), "\n"), "\n")
}

// jsonLogger writes lines without a time, so that they can be compared.
func jsonLogger(to io.Writer) *zap.Logger {
	config := zap.NewProductionEncoderConfig()
	config.TimeKey = ""
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.AddSync(to), zapcore.InfoLevel))
}

// queued returns a queue and a logger that goes through it.
func queuedLogger(to io.Writer) (*queue, *zap.Logger) {
	logger := jsonLogger(to)
	q := newQueue(func() *zap.Logger { return logger }, zapcore.WarnLevel, "dropped")
	return q, q.wrap(logger)
}

// A line is the same as without a queue, in the same order, whatever becomes of
// what it was made of.
func TestQueuedLinesAreTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var direct, behind gatedLog
		_, queued := queuedLogger(&behind)
		behind.stuck = make(chan struct{})
		for _, logger := range []*zap.Logger{jsonLogger(&direct), queued} {
			list, content, failure := []string{"a", "b"}, []byte("stack"), &changingError{"no room"}
			counts := map[string]int{"a": 1}
			logger = logger.Named("name").With(zap.String("provider", "soniox"))
			logger.Debug("below the level")
			logger.Info("text", zap.String("event_id", "1"), zap.Int("attempt", 2), zap.Bool("yes", true), zap.Skip())
			logger.Warn("times", zap.Duration("after", time.Second), zap.Time("at", time.Unix(1, 0)), zap.Float64("x", 0.5))
			logger.Error("lists", zap.Strings("event_ids", list), zap.ByteString("stack", content), zap.Error(failure), zap.Any("any", counts))
			logger.With(zap.Namespace("inner")).Info("nested", zap.Stringer("wait", time.Minute), zap.Reflect("none", nil), zap.Error(nil))
			list[0], content[0], failure.text, counts["a"] = "changed", 'X', "changed", 2
		}
		close(behind.stuck)
		synctest.Wait()
		if got, want := strings.Join(behind.lines(), "\n"), strings.Join(direct.lines(), "\n"); got != want {
			t.Errorf("lines\n%s\nwant\n%s", got, want)
		}
	})
}

type changingError struct{ text string }

func (e *changingError) Error() string { return e.text }

// A log that cannot be written holds nothing up. Once it can, the lines that
// waited are there in their order, and in the place of those that did not one
// says how many they were.
func TestStuckLogHoldsNothingUp(t *testing.T) {
	for name, padding := range map[string]int{"many lines": 0, "large lines": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log gatedLog
				q, logger := queuedLogger(&log)
				const sent = 3 * maxLines
				pad := strings.Repeat("x", padding)
				log.stuck = make(chan struct{})
				before := time.Now()
				for i := range sent {
					logger.Info(fmt.Sprint(i), zap.String("pad", pad))
				}
				if !time.Now().Equal(before) {
					t.Errorf("logging took %s", time.Since(before))
				}
				time.Sleep(5 * time.Second)
				if q.stuckFor() != 5*time.Second {
					t.Errorf("stuck for %s", q.stuckFor())
				}
				close(log.stuck)
				synctest.Wait()
				logger.Info(fmt.Sprint(sent))
				synctest.Wait()
				lines := log.lines()
				kept := len(lines) - 2
				for i, line := range lines[:kept] {
					if !strings.Contains(line, fmt.Sprintf(`"msg":"%d"`, i)) {
						t.Fatalf("line %d is %.100s", i, line)
					}
				}
				if want := fmt.Sprintf(`{"level":"warn","msg":"dropped","dropped":%d}`, sent-kept); lines[kept] != want {
					t.Errorf("behind %d lines: %s, want %s", kept, lines[kept], want)
				}
				if !strings.Contains(lines[kept+1], fmt.Sprintf(`"msg":"%d"`, sent)) {
					t.Errorf("the last line is %.100s", lines[kept+1])
				}
				if kept > maxLines || kept*padding > maxBytes || kept < maxBytes/(padding+1024)/2 && kept < maxLines {
					t.Errorf("%d lines of %d bytes waited", kept, padding)
				}
				if q.stuckFor() != 0 || q.lines != 0 || q.bytes != 0 || q.writing {
					t.Errorf("in the end %d lines and %d bytes wait", q.lines, q.bytes)
				}
			})
		})
	}
}

// While the log is slower than the lines come, few of its lines are about dropped
// ones, and none goes missing uncounted.
func TestSlowLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log gatedLog
		_, logger := queuedLogger(writerFunc(func(p []byte) (int, error) {
			time.Sleep(time.Millisecond)
			return log.Write(p)
		}))
		const sent = 10 * maxLines
		for range sent {
			logger.Info("line")
			time.Sleep(time.Millisecond / 3)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		said, about := 0, 0
		for _, line := range log.lines() {
			var n int
			if _, err := fmt.Sscanf(line, `{"level":"warn","msg":"dropped","dropped":%d}`, &n); err == nil {
				said += n
				about++
			} else {
				said++
			}
		}
		if said != sent || about == 0 || about > 20 {
			t.Errorf("%d lines are accounted for, want %d; %d lines say how many were dropped", said, sent, about)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Lines that a full disk refuses are counted like those that were dropped.
func TestFailingLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log gatedLog
		_, logger := queuedLogger(&log)
		logger.Info("first")
		synctest.Wait()
		log.fail(errors.New("no space left on device"))
		for range 10 {
			logger.Info("lost")
			synctest.Wait()
		}
		log.fail(nil)
		logger.Info("last")
		synctest.Wait()
		want := `{"level":"info","msg":"first"} {"level":"warn","msg":"dropped","dropped":10} {"level":"info","msg":"last"}`
		if got := strings.Join(log.lines(), " "); got != want {
			t.Errorf("lines %s, want %s", got, want)
		}
	})
}

// The end of a configuration waits for its lines, but not for ever, and not once
// for each of its modules.
func TestLogIsFlushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log gatedLog
		q, logger := queuedLogger(writerFunc(func(p []byte) (int, error) {
			time.Sleep(time.Millisecond)
			return log.Write(p)
		}))
		for range 100 {
			logger.Info("line")
		}
		q.flush()
		if n := len(log.lines()); n != 100 {
			t.Errorf("%d lines are written", n)
		}
		log.stuck = make(chan struct{})
		logger.Info("stuck")
		before := time.Now()
		for range 10 {
			_ = logger.Sync()
		}
		if waited := time.Since(before); waited != flushTimeout {
			t.Errorf("waited %s", waited)
		}
		close(log.stuck)
	})
}

// Many that log at once lose nothing, and the lines of each are in order.
func TestQueuedLogOfMany(t *testing.T) {
	t.Parallel()
	var log gatedLog
	q, logger := queuedLogger(&log)
	const writers, each = 8, maxLines / 8
	var work sync.WaitGroup
	for writer := range writers {
		work.Go(func() {
			for i := range each {
				logger.Info("line", zap.Int("writer", writer), zap.Int("n", i))
			}
		})
	}
	work.Wait()
	q.flush()
	next := make([]int, writers)
	for _, line := range log.lines() {
		var writer, n int
		if _, err := fmt.Sscanf(line, `{"level":"info","msg":"line","writer":%d,"n":%d}`, &writer, &n); err != nil || next[writer] != n {
			t.Fatalf("line %s, want number %d of that writer", line, next[writer])
		}
		next[writer]++
	}
	for writer, n := range next {
		if n != each {
			t.Errorf("writer %d has %d lines", writer, n)
		}
	}
}

// A full queue of one log keeps nothing from another, and a logger goes on after
// its configuration.
func TestLogsOfAConfiguration(t *testing.T) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	l := Of(ctx)
	if Of(ctx) != l {
		t.Error("the modules of a configuration have different queues")
	}
	var stuck, trail gatedLog
	stuck.stuck = make(chan struct{})
	defer close(stuck.stuck)
	l.lines.wrap(jsonLogger(&stuck)).Info("stuck")
	l.audit.wrap(jsonLogger(&trail)).Info("purged")
	l.audit.flush()
	if got := trail.text.String(); !strings.Contains(got, "purged") {
		t.Errorf("the trail has %q", got)
	}
}

// While a log is stuck, answers close their connections on HTTP/1.
func TestAnswersCloseWhileTheLogIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log gatedLog
		q, logger := queuedLogger(&log)
		l := &Logs{lines: q, audit: new(queue)}
		closes := func(major int) bool {
			w := httptest.NewRecorder()
			l.CloseWhileStuck(w, &http.Request{ProtoMajor: major})
			return w.Header().Get("Connection") == "close"
		}
		log.stuck = make(chan struct{})
		logger.Info("stuck")
		synctest.Wait()
		if closes(1) {
			t.Error("a connection is closed for a line that is being written")
		}
		time.Sleep(stuckAfter)
		if !closes(1) || closes(2) || closes(3) {
			t.Errorf("closed on HTTP/1: %t, 2: %t, 3: %t", closes(1), closes(2), closes(3))
		}
		close(log.stuck)
		synctest.Wait()
		if closes(1) {
			t.Error("connections are closed although the log works")
		}
	})
}

// BenchmarkLogLine compares what a line costs its caller that is written at once
// with one that waits, and with both parts of that one.
func BenchmarkLogLine(b *testing.B) {
	for _, kind := range []string{"at once", "queued", "queued and written"} {
		b.Run(kind, func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "log"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			q, logger := queuedLogger(file)
			if kind == "at once" {
				logger = jsonLogger(file)
			}
			logger = logger.Named("scribegate.audit")
			b.ReportAllocs()
			for i := range b.N {
				logger.Info("accepted", zap.String("event_id", "soapnoteapi-0123456789abcdef0123456789abcdef"), zap.String("provider", "soapnoteapi"), zap.String("type", "note.generated"), zap.String("by", "127.0.0.1"))
				if i%1000 == 0 { // so that none is dropped
					if kind == "queued" {
						b.StopTimer()
					}
					q.flush()
					b.StartTimer()
				}
			}
		})
	}
}
