package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// A volume is as large as it was made, is full when it was filled, and has room
// again when it was cleared.
func TestVolume(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	e := &env{dir: t.TempDir()}
	v, err := e.newVolume(t.Context(), size)
	if err != nil {
		if os.Geteuid() != 0 && strings.Contains(err.Error(), "unshare -rm") {
			return // it said what to do, which is all that can be tried here
		}
		t.Fatal(err)
	}
	defer func() {
		if err := v.close(); err != nil {
			t.Error(err)
		}
	}()
	if n, err := v.fill(); err != nil || n != size {
		t.Errorf("filled %d bytes of %d: %v", n, size, err)
	}
	if err := os.WriteFile(v.queueFile(), []byte("x"), 0o600); err == nil {
		t.Error("a full filesystem took a file")
	}
	if err := v.clear(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.queueFile(), []byte("x"), 0o600); err != nil {
		t.Errorf("a filesystem with room took no file: %v", err)
	}
	if n, err := v.fill(); err != nil || n != size-4096 {
		t.Errorf("filled %d bytes of the %d that were left: %v", n, size-4096, err)
	}
	if err := v.relieve(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := v.fill(); err != nil || n != size-4096+relief {
		t.Errorf("filled %d bytes of a volume that has %d more: %v", n, relief, err)
	}
	if err := v.clear(); err != nil {
		t.Fatal(err)
	}
	if err := v.readOnly(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.queueFile(), []byte("y"), 0o600); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a filesystem that is read-only answered %v", err)
	}
}

// A site that answers with something else, or not at all, is reported.
func TestOtherSite(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	good, err := listenBadly(ctx, func(x *exchange) {
		_ = x.write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" + siteAnswer + strings.Repeat(" ", 20-len(siteAnswer)))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer good.close()
	s, err := newOtherSite(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.wrong(); err == nil {
		t.Error("a site that was never there is said to be well")
	}
	if err := s.once(ctx); !errors.Is(err, errNobody) {
		t.Errorf("nobody listens, and the error is %v", err)
	}
	s.address = strings.TrimPrefix(good.url, "http://")
	if err := s.once(ctx); err == nil || errors.Is(err, errNobody) {
		t.Errorf("a wrong answer gave %v", err)
	}
}
