package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An operation that was cut off has its line too. One that the queue refused changed
// nothing, and has none.
func TestAuditOfWhatFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		err   error
		done  int
		lines int
	}{
		{"done", nil, 3, 2},
		{"broken off", context.Canceled, 3, 2},
		{"broken off before anything is known to be done", context.Canceled, 0, 2},
		{"the disk fails", errors.New("no room"), 3, 2},
		{"closed meanwhile", queue.ErrClosed, 3, 2},
		{"closed", queue.ErrClosed, 0, 0},
		{"unknown", queue.ErrNotFound, 0, 0},
		{"without payload", queue.ErrNoPayload, 0, 0},
		{"waited for", queue.ErrPending, 0, 0},
		{"invalid", queue.ErrInvalid, 0, 0},
		{"without an upstream", queue.ErrUnrouted, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			core, logs := zapobserver.New(zap.DebugLevel)
			err := tt.err
			if err != nil {
				err = fmt.Errorf("purging events: %w", err)
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil)
			r.Header.Set("Origin", "PATIENT-TEXT")
			trail := New(zap.New(core))
			trail.Purged(queue.PurgeSelection{State: queue.Dead}, nil, tt.done, err, ActorOf(r))
			trail.Replayed(queue.ReplaySelection{State: queue.Dead}, nil, queue.Replayed{Deliveries: tt.done}, err, ActorOf(r))
			for _, line := range logs.All() {
				fields := line.ContextMap()
				if _, unfinished := fields["unfinished"]; unfinished != (tt.err != nil) || cmp.Or(fields["events"], fields["deliveries"]) != int64(tt.done) || fields["origin"] != "invalid" {
					t.Errorf("%s: %v", line.Message, fields)
				}
			}
			if logs.Len() != tt.lines {
				t.Errorf("%d lines, want %d", logs.Len(), tt.lines)
			}
		})
	}
}
