package notify

import (
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// Nothing is emitted before the configuration has started.
func TestNotifierWaitsForTheStart(t *testing.T) {
	t.Parallel()
	early := &Notifier{ctx: caddy.Context{Context: t.Context()}, app: new(caddyevents.App)} // Emit would panic
	early.Emit(Rejected, nil)
	time.Sleep(2 * startCheck)
	early.mu.Lock()
	defer early.mu.Unlock()
	if len(early.waiting) != 1 {
		t.Error("an event is emitted before Caddy has started")
	}
}
