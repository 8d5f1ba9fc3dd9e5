package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoll(t *testing.T) {
	t.Parallel()
	broken := errors.New("it broke")
	tests := map[string]struct {
		holds func(n int) (bool, error)
		want  error
		after time.Duration
	}{
		"at once": {func(int) (bool, error) { return true, nil }, nil, 0},
		"later":   {func(n int) (bool, error) { return n == 4, nil }, nil, 4 * pollInterval},
		"broken":  {func(int) (bool, error) { return false, broken }, broken, 0},
		"never":   {func(int) (bool, error) { return false, nil }, errNotVisible, visibility},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin, n := time.Now(), -1
				err := poll(t.Context(), "it", func() (bool, error) { n++; return tt.holds(n) })
				if !errors.Is(err, tt.want) || time.Since(begin) != tt.after {
					t.Errorf("poll() = %v after %s, want %v after %s", err, time.Since(begin), tt.want, tt.after)
				}
			})
		})
	}
}

func TestMeasured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("it broke")
		var took time.Duration
		err := measured(&took, func(context.Context) error { time.Sleep(time.Second); return broken })(t.Context())
		if !errors.Is(err, broken) || took != time.Second {
			t.Errorf("measured() = %v, took %s", err, took)
		}
	})
}

func TestWrittenAt(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]time.Time{
		`{"level":"warn","ts":1795397317.5,"msg":"x"}`: time.UnixMilli(1795397317500),
		`{"level":"warn","msg":"x"}`:                   {},
		`no JSON 1795397317`:                           {},
		``:                                             {},
	} {
		if got := writtenAt(line); !got.Equal(want) {
			t.Errorf("writtenAt(%s) = %s, want %s", line, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]*upstreamStatus{
		`{"upstreams":[{"name":"ehr","pending":3,"dead":2,"paused":true}]}`: {Pending: 3, Dead: 2, Paused: true},
		`{"upstreams":[]}`: nil,
		`no JSON`:          nil,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, answer) }))
		got, err := status(t.Context(), server.URL)
		server.Close()
		if (err == nil) != (want != nil) || want != nil && got != *want {
			t.Errorf("status of %s = %+v, %v", answer, got, err)
		}
		if _, err := status(t.Context(), server.URL); err == nil {
			t.Error("status() of a server that is closed = nil")
		}
	}
}
