package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
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

// On loopback, a header that browsers do not send by themselves counts as that of a proxy.
func TestHeadersOfTheScriptAreNotThoseOfProxies(t *testing.T) {
	t.Parallel()
	script, err := assets.ReadFile("assets/console.js")
	if err != nil {
		t.Fatal(err)
	}
	found := scriptHeader.FindAllSubmatch(script, -1)
	if len(found) == 0 {
		t.Error("the script sends no header of its own: the test does not find it")
	}
	for _, header := range found {
		if !sentByClients(string(header[1])) {
			t.Errorf("the header %s counts as that of a proxy", header[1])
		}
	}
}

var scriptHeader = regexp.MustCompile(`headers: \{ "([^"]+)": "[^"]*" \}`)
