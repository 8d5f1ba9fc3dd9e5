package reload

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
)

func TestLeftBehind(t *testing.T) {
	t.Parallel()
	before := gateway.Footprint{Memory: 20 << 20, Handles: 20, Goroutines: 30}
	tests := []struct {
		name string
		now  gateway.Footprint
		want string // "" is nothing
	}{
		{"the same", before, ""},
		{"less", gateway.Footprint{}, ""},
		{"a little more", gateway.Footprint{Memory: 25 << 20, Handles: 22, Goroutines: 33}, ""},
		{"goroutines", gateway.Footprint{Memory: 20 << 20, Handles: 20, Goroutines: 60}, "30 goroutines"},
		{"handles", gateway.Footprint{Memory: 20 << 20, Handles: 60, Goroutines: 30}, "40 handles"},
		{"memory", gateway.Footprint{Memory: 80 << 20, Handles: 20, Goroutines: 30}, "60.0 MiB of memory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := leftBehind(before, tt.now)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
