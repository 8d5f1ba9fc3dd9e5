package console

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

const (
	// maxForm is the maximum size of a form. The longest has the ids of a whole page of
	// events.
	maxForm = 1 << 20

	// formTimeout is how long a form may take to arrive completely.
	formTimeout = 10 * time.Second

	// drainTimeout is how long the rest of a body is read and dropped after an answer.
	drainTimeout = time.Second
)

// checkRequest checks the method of a request, and for a POST its origin, and reads its form.
func checkRequest(w http.ResponseWriter, r *http.Request) *failure {
	switch {
	case r.Method == http.MethodPost:
		return readForm(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, POST")
		return &wrongMethod
	case r.ProtoMajor == 1 && r.ContentLength != 0:
		return &unexpectedBody
	}
	return nil
}

// readForm reads the form of a POST, which must come from one of the console's own pages.
func readForm(w http.ResponseWriter, r *http.Request) *failure {
	if new(http.CrossOriginProtection).Check(r) != nil {
		return &crossOrigin
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return &notAForm
	}
	receive.SetDeadline(w, time.Now().Add(formTimeout))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return &formTooLarge
		}
		return &invalidForm
	}
	receive.ClearDeadline(w)
	return nil
}

// missingSlash returns where to redirect a request for the console's root whose path had no
// slash at its end before a prefix was stripped: the links of the page are relative to that
// path. It returns "" for any other request.
func missingSlash(r *http.Request) string {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || strings.Trim(r.URL.Path, "/") != "" || strings.HasSuffix(original.URL.Path, "/") {
		return ""
	}
	location := &url.URL{Path: "./" + path.Base(original.URL.Path) + "/", RawQuery: r.URL.RawQuery}
	return location.String()
}
