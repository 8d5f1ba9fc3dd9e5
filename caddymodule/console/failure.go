package console

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"strconv"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

// retryAfter is the value of Retry-After while no gateway is open, in seconds.
const retryAfter = "5"

//go:embed templates/failure.html templates/forbidden.html
var failurePages embed.FS

var failureTemplates = template.Must(template.ParseFS(failurePages, "templates/*.html"))

// A failure is a page for a request that no other page answers.
type failure struct {
	Status int
	Title  string
	Text   string
}

var (
	tooEarly       = failure{http.StatusTooEarly, "Too early", "The request came before the connection was complete. Send it again."}
	wrongMethod    = failure{http.StatusMethodNotAllowed, "Method not allowed", "The console answers GET, HEAD and POST."}
	unexpectedBody = failure{http.StatusBadRequest, "Unexpected body", "A request that only reads has no body."}
	crossOrigin    = failure{http.StatusForbidden, "A form of another site", "The form came from another site, or the browser does not say from which, so nothing was changed. Open the console itself, and repeat the action there."}
	notAForm       = failure{http.StatusUnsupportedMediaType, "Not a form", "Nothing was changed. A POST has a form, as application/x-www-form-urlencoded."}
	formTooLarge   = failure{http.StatusRequestEntityTooLarge, "The form is too large", "Nothing was changed. Select fewer events at once."}
	invalidForm    = failure{http.StatusBadRequest, "The form cannot be read", "Nothing was changed. Go back and send the form again."}
	notRunning     = failure{http.StatusServiceUnavailable, "The gateway is not running", "No queue is open. Either Caddy is starting, and this page loads again by itself, or the configuration has no upstream in the global option scribegate, or the queue cannot be opened: see Caddy's log."}
	failed         = failure{http.StatusInternalServerError, "The page failed", "This is a defect of Scribegate. Caddy's log has the details."}
)

// write answers with the page.
func (f failure) write(w http.ResponseWriter) { writePage(w, f.Status, "failure.html", f) }

// refuse answers with a failure before the request's body has been read.
func refuse(w http.ResponseWriter, r *http.Request, f failure) {
	withoutBody(w, r, func() { f.write(w) })
}

// A forbidden is the page for a client that may not see the console.
type forbidden struct {
	Loopback bool     // whether allow_loopback is set
	Reasons  []string // each is a sentence about the request, without its end
}

// forbid answers with the page.
func forbid(w http.ResponseWriter, r *http.Request, f forbidden) {
	withoutBody(w, r, func() { writePage(w, http.StatusForbidden, "forbidden.html", f) })
}

// withoutBody calls write to answer a request whose body is unread. On HTTP/1, the answer
// closes the connection if there is a body: Caddy has replaced the body, so that Go's server
// does not notice.
func withoutBody(w http.ResponseWriter, r *http.Request, write func()) {
	closing := r.ProtoMajor == 1 && r.ContentLength != 0
	if closing {
		w.Header().Set("Connection", "close")
	}
	write()
	if closing {
		receive.Flush(w, r)
		receive.Drain(w, r, drainTimeout)
	}
}

// writePage answers with one of failureTemplates.
func writePage(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := failureTemplates.ExecuteTemplate(&page, name, data); err != nil {
		panic(err) // the templates fit their data
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(page.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // a client that has gone needs no answer
}
