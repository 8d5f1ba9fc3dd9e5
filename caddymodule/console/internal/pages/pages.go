package pages

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/logging"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// queryTimeout is how long the queue may take to answer a page.
const queryTimeout = 5 * time.Second

// Pages are the pages of one console.
type Pages struct {
	logger   *zap.Logger
	logs     *logging.Logs
	operator operate.Operator
}

// New returns the pages of a console that is being provisioned.
func New(ctx caddy.Context) *Pages {
	logger := logging.Logger(ctx)
	return &Pages{logger: logger, logs: logging.Of(ctx), operator: operate.Operator{Logger: logger, Audit: audit.New(logging.Audit(ctx))}}
}

// A Visitor is a client that may see the console.
type Visitor struct {
	Name string // of the authenticated user; "" for one that need not be authenticated
	From string // the client's address
	Acts bool   // whether it may replay and purge
}

// A visit is a request for a page.
type visit struct {
	*http.Request
	by      Visitor
	gateway *gateway.Gateway
	state   *snapshot // of the gateway; nil where there is none
	now     time.Time
}

// A content is what a page answers: a template with its data, or the address of another
// page.
type content struct {
	status   int // 0 is 200
	template string
	title    string
	data     any
	asOf     time.Time // when the data was read; zero is now
	refresh  bool      // whether the page loads itself again where there is no script
	still    bool      // whether the script leaves the page as it is
	redirect string    // relative
}

// A page is one of the pages of the console.
type page struct {
	load    func(*Pages, *visit) (content, error)
	methods []string
}

// named has the pages by the last segment of their path.
var named = map[string]page{
	"":            {(*Pages).overview, reading},
	"events":      {(*Pages).events, reading},
	"event":       {(*Pages).event, reading},
	"dead":        {(*Pages).dead, reading},
	"quarantined": {(*Pages).quarantined, reading},
	"unrouted":    {(*Pages).unrouted, reading},
	"unconfirmed": {(*Pages).unconfirmed, reading},
	"preview":     {(*Pages).preview, append([]string{http.MethodPost}, reading...)}, // the ids of many events are too long for an address
	"act":         {(*Pages).act, []string{http.MethodPost}},
	"job":         {(*Pages).job, reading},
}

// reading are the methods of a page that is only looked at.
var reading = []string{http.MethodGet, http.MethodHead}

// A failure is the error of a page that cannot be shown.
type failure struct {
	Status int
	Title  string
	Text   string
}

// Error implements error.
func (f failure) Error() string { return f.Title }

// Serve answers a visitor's request. The method is GET, HEAD or POST. A POST comes from the
// console's own pages, its body is bounded, and its form is parsed. The headers that every
// answer has are set.
func (p *Pages) Serve(w http.ResponseWriter, r *http.Request, by Visitor) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	v := &visit{Request: r.WithContext(ctx), by: by, now: time.Now()}
	c, err := p.load(v)
	if err != nil {
		c = p.failed(v, err)
	}
	if c.redirect != "" {
		w.Header().Set("Location", c.redirect)
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	var out bytes.Buffer
	if err := render(&out, v, c); err != nil {
		panic(err) // the templates fit their data
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if c.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", strings.Join(named[pageName(r.URL.Path)].methods, ", "))
	}
	if c.status != 0 {
		w.WriteHeader(c.status)
	}
	_, _ = w.Write(out.Bytes()) // a client that has gone needs no answer
}

// load returns the content of the page that the request names.
func (p *Pages) load(v *visit) (content, error) {
	pg, ok := named[pageName(v.URL.Path)]
	if !ok {
		v.attach(p)
		return content{}, failure{http.StatusNotFound, "There is no such page", "The address may be mistyped. The pages of the console are in the navigation above."}
	}
	if !slices.Contains(pg.methods, v.Method) {
		v.attach(p)
		return content{}, failure{http.StatusMethodNotAllowed, "The page cannot be used in this way", "Go back, and use the buttons and links of the console."}
	}
	if !v.attach(p) {
		return content{}, failure{http.StatusServiceUnavailable, "The gateway is not running", "No queue is open any more: the configuration may have changed. See Caddy's log."}
	}
	return pg.load(p, v)
}

// attach sets the gateway and its state. It returns false if there is no gateway.
func (v *visit) attach(p *Pages) bool {
	if v.gateway = gateway.Await(v.Context()); v.gateway == nil {
		return false
	}
	v.state = p.snapshot(v)
	return true
}

// pageName returns the last segment of a path, or "" for the overview.
func pageName(p string) string {
	if p == "" || strings.HasSuffix(p, "/") {
		return ""
	}
	return path.Base(p)
}

// failed returns the page of an error.
func (p *Pages) failed(v *visit, err error) content {
	f, ok := errors.AsType[failure](err)
	switch {
	case ok:
	case errors.As(err, new(gateway.Unanswered)), errors.Is(err, queue.ErrUnavailable), errors.Is(err, queue.ErrClosed):
		f = failure{http.StatusServiceUnavailable, "The queue does not answer", sentence(err.Error()) + " Events that were acknowledged are not lost. Check the disk and the database of the queue, and Caddy's log."}
	case errors.Is(err, context.DeadlineExceeded):
		f = failure{http.StatusServiceUnavailable, "The queue did not answer in time", "It may be busy or its disk may be slow. Try again, or narrow the search by a state, an upstream or a time."}
	case errors.Is(err, queue.ErrInvalid):
		f = failure{http.StatusBadRequest, "The address is not valid", sentence(err.Error()) + " It may be cut off. Start again from the navigation above."}
	default:
		f = failure{http.StatusInternalServerError, "The page cannot be shown", sentence(err.Error()) + " See Caddy's log, and try again."}
		p.logger.Error("a page of the console cannot be shown", zap.String("page", pageName(v.URL.Path)), zap.Error(err))
	}
	return content{status: f.Status, template: "failed", title: f.Title, data: f}
}
