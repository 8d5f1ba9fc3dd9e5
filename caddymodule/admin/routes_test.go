package admin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A request for an event reaches the route of the event, whatever its id is.
func TestRouteWithID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "a/b", "a%2Fb", ".", "..", "a b", "?x=1", "a;b#c", "{id}", "\x00\xff"} {
		var got string
		mux := http.NewServeMux()
		for _, r := range []Route{RouteEvents, RouteEvent, RoutePayload} {
			mux.HandleFunc("GET "+Prefix+r.Path, func(_ http.ResponseWriter, req *http.Request) { got = r.Path + " " + req.PathValue("id") })
		}
		for _, r := range []Route{RouteEvent, RoutePayload} {
			got = ""
			req, err := http.NewRequestWithContext(t.Context(), r.Method, "http://localhost"+Prefix+r.WithID(id).Path, nil)
			if err != nil {
				t.Fatal(err)
			}
			h, _ := mux.Handler(req)
			mux.ServeHTTP(nil, req)
			if want := r.Path + " " + id; h == nil || got != want {
				t.Errorf("%q: reached %q, want %q", id, got, want)
			}
		}
	}
}

func TestRouteWithQuery(t *testing.T) {
	t.Parallel()
	got := RouteEvents.WithQuery(url.Values{"state": {"dead"}, "cursor": {"a&b"}})
	if got.Path != "events?cursor=a%26b&state=dead" || got.Method != http.MethodGet || strings.Contains(RouteEvents.Path, "?") {
		t.Errorf("%+v", got)
	}
}
