package secret

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/scribegate/scribegate/caddymodule/internal/secret/secrettest"
)

func TestHungFileDelaysNoOther(t *testing.T) {
	dir := t.TempDir()
	hangs, fine := filepath.Join(dir, "hangs"), filepath.Join(dir, "fine")
	secrettest.Put(t, hangs, "hangs-1")
	secrettest.Put(t, fine, "fine-1")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		logger, logs := observed()
		var m secrettest.Mount
		s, err := newList(ctx, Options{Name: "test secret", Entries: []string{"{file." + hangs + "}", "{file." + fine + "}"}, Logger: logger}, &FileReader{Read: m.Read})
		if err != nil {
			t.Fatal(err)
		}
		m.Disconnect()
		for n, content := range []string{"fine-2", "fine-3", "fine-4", "fine-5"} {
			secrettest.Put(t, fine, content)
			time.Sleep(secrettest.PickUp)
			if got := s.Values(); !slices.Equal(got, []string{"hangs-1", content}) {
				t.Errorf("values %q after %d changes, want the last good one and %s", got, n+1, content)
			}
		}
		if got := logs.FilterLevelExact(zapcore.ErrorLevel).All(); len(got) != 1 || !strings.Contains(got[0].ContextMap()["error"].(string), hangs) {
			t.Errorf("errors %v, want one, of the file that hangs", got)
		}
		if got := m.MostHanging(); got != 1 {
			t.Errorf("%d reads of one file hang, want one", got)
		}
		secrettest.Put(t, hangs, "hangs-2")
		m.Reconnect()
		time.Sleep(secrettest.PickUp)
		if got := s.Values(); !slices.Equal(got, []string{"hangs-2", "fine-5"}) {
			t.Errorf("values %q after the file could be read again", got)
		}

		// The end of the configuration does not wait for a read.
		m.Disconnect()
		time.Sleep(secrettest.PickUp)
		stop()
		synctest.Wait()
		secrettest.Put(t, fine, "fine-6")
		time.Sleep(secrettest.PickUp)
		if got := s.Values(); !slices.Equal(got, []string{"hangs-2", "fine-5"}) {
			t.Errorf("values %q once the configuration has ended, want the last ones", got)
		}
		m.Reconnect()
	})
}

func TestHungFileAtLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hangs")
	secrettest.Put(t, path, "value")
	t.Setenv("SET_A", "value-a")
	synctest.Test(t, func(t *testing.T) {
		var m secrettest.Mount
		files := &FileReader{Read: m.Read}
		m.Disconnect()
		load := func() error {
			_, err := newList(t.Context(), Options{Name: "test secret", Entries: []string{"{env.SET_A}", "{file." + path + "}"}, Logger: zap.NewNop()}, files)
			return err
		}
		for range 3 {
			began := time.Now()
			if err := load(); !errors.Is(err, ErrSlowFile) || !strings.Contains(err.Error(), "test secret, entry 2: ") || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one that names the entry and the file", err)
			}
			if took := time.Since(began); took > ReadTimeout {
				t.Errorf("loading took %s", took)
			}
		}
		if got := m.MostHanging(); got != 1 {
			t.Errorf("%d reads of one file hang, want one", got)
		}
		m.Reconnect()
		if err := load(); err != nil {
			t.Errorf("with the file back: %v", err)
		}
	})
}
