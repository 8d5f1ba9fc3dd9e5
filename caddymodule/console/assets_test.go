package console

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestAssets(t *testing.T) {
	t.Parallel()
	for name, contentType := range assetTypes {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/ops/"+name, nil)
		if !serveAsset(w, r) || w.Code != http.StatusOK || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: status %d, header %v, %d bytes", name, w.Code, w.Header(), w.Body.Len())
		}
	}
	if serveAsset(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/ops/events", nil)) {
		t.Error("a page was served as an asset")
	}
}
