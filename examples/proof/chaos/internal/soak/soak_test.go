package soak

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
)

func TestLeaked(t *testing.T) {
	t.Parallel()
	idle := gateway.Footprint{Memory: 20 << 20, Handles: 12, Goroutines: 15}
	tests := map[string]struct {
		err  error
		want string // "" means none
	}{
		"no leak":    {leaked(idle, gateway.Footprint{Memory: 80 << 20, Handles: 30, Goroutines: 30}), ""},
		"goroutines": {leaked(idle, gateway.Footprint{Goroutines: 36}), "goroutines"},
		"handles":    {leaked(idle, gateway.Footprint{Handles: 33}), "handles"},
		"memory":     {leaked(idle, gateway.Footprint{Memory: 85 << 20}), "memory has grown"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if (tt.err != nil) != (tt.want != "") || tt.err != nil && !strings.Contains(tt.err.Error(), tt.want) {
				t.Errorf("error %v, want %q", tt.err, tt.want)
			}
		})
	}
}
