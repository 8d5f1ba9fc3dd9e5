package results

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
)

// The background of a configuration begins when that of the configuration before it has
// ended: both may be about the same account.
func TestBackgroundsDoNotOverlap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var log []string
		record := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, what)
		}
		check := func(want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(log, want) {
				t.Errorf("happened: %q, want %q", log, want)
			}
		}
		release := make(chan struct{})
		first := func(ctx context.Context, _ Store, _ *zap.Logger) {
			record("first begins")
			<-ctx.Done()
			<-release // a request takes a while to end
			record("first ends")
		}
		second := func(ctx context.Context, _ Store, _ *zap.Logger) {
			record("second begins")
			<-ctx.Done()
			record("second ends")
		}
		s, o := New(nil, nil), &Observer{Logger: zap.NewNop()}
		s.Apply([]API{{Provider: "soniox", Source: "urn:a", Background: first}}, o)
		check("first begins")
		s.Apply(nil, o)
		s.Apply([]API{{Provider: "soniox", Source: "urn:a", Background: second}}, o)
		check("first begins")
		close(release)
		check("first begins", "first ends", "second begins")
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		check("first begins", "first ends", "second begins", "second ends")
	})
}
