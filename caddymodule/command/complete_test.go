package command

import (
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// Without a server that answers in time, there are no completions and no output.
func TestCompletionWithoutServer(t *testing.T) {
	t.Parallel()
	silent := commandtest.FakeServer(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, address := range []string{commandtest.ClosedPort(t), silent, "nonsense::x"} {
		for _, args := range []string{"show", "replay", "events --upstream", "events --subject"} {
			f := strings.Fields(args)
			line := append([]string{f[0], "--address", address}, append(f[1:], "")...)
			if values, _ := commandtest.Complete(t, line...); len(values) > 0 {
				t.Errorf("%v completes to %q", line, values)
			}
		}
	}
}
