package disk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A wrong answer of the other site, or none, is reported.
func TestOtherSite(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, siteAnswer+" ")
	}))
	t.Cleanup(good.Close)
	s, err := newOtherSite(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := s.wrong(); err == nil {
		t.Error("wrong() = nil for a site that never answered")
	}
	if err := s.once(ctx); !errors.Is(err, errNobody) {
		t.Errorf("no program listens, and the error is %v", err)
	}
	s.address = strings.TrimPrefix(good.URL, "http://")
	if err := s.once(ctx); err == nil || errors.Is(err, errNobody) {
		t.Errorf("once() = %v for a wrong answer", err)
	}
}
