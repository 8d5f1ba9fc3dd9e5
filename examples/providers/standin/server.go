package standin

import (
	"context"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

// A Server plays both providers. It is safe for concurrent use.
type Server struct {
	options Options
	routes  *http.ServeMux
	client  *http.Client // sends the webhooks

	ctx    context.Context // until Close
	cancel context.CancelFunc
	jobs   sync.WaitGroup

	mu             sync.Mutex
	transcriptions map[string]*Transcription
	files          map[string]*File
	notes          map[string]*Note
	faults         []*activeFault
	requests       []*Request
}

// New returns a Server without transcriptions, files and notes. Close it after use.
func New(o Options) *Server {
	s := &Server{
		options: o.withDefaults(), routes: http.NewServeMux(),
		client: &http.Client{
			Transport: &http.Transport{}, Timeout: 10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		transcriptions: make(map[string]*Transcription), files: make(map[string]*File), notes: make(map[string]*Note),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())

	s.handle(UploadFile, s.soniox(write, s.uploadFile))
	s.handle(ListFiles, s.soniox(read, s.listFiles))
	s.handle(CountFiles, s.soniox(read, s.countFiles))
	s.handle(GetFile, s.soniox(read, s.getFile))
	s.handle(DeleteFile, s.soniox(write, s.deleteFile))
	s.handle(CreateTranscription, s.soniox(write, s.createTranscription))
	s.handle(ListTranscriptions, s.soniox(read, s.listTranscriptions))
	s.handle(CountTranscriptions, s.soniox(read, s.countTranscriptions))
	s.handle(GetTranscription, s.soniox(read, s.getTranscription))
	s.handle(GetTranscript, s.soniox(read, s.getTranscript))
	s.handle(DeleteTranscription, s.soniox(write, s.deleteTranscription))
	s.handle(UploadAudio, s.soapnote(s.uploadAudio))
	s.handle(GetNoteStatus, s.soapnote(s.getNoteStatus))
	s.handle(GetNote, s.soapnote(s.getNote))
	return s
}

// Close ends all requests that hang, stops processing and sends no more webhooks.
func (s *Server) Close() {
	s.cancel()
	s.jobs.Wait()
	s.client.CloseIdleConnections()
}

// An endpoint makes the answer to a request.
type endpoint func(*http.Request) answer

// handle adds a route. A fault comes before anything else, even before the key is checked.
func (s *Server) handle(route Route, e endpoint) {
	s.routes.HandleFunc(string(route), func(w http.ResponseWriter, r *http.Request) {
		if f, ok := s.fault(route, r.PathValue("id")); ok {
			answerWithFault(w, r, route, f, e)
			return
		}
		e(r).write(w)
	})
}

// ServeHTTP answers a request to either provider.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	route := Route("")
	if escaped := r.URL.EscapedPath(); path.Clean(escaped) == escaped { // else the ServeMux redirects
		_, pattern := s.routes.Handler(r)
		route = Route(pattern)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	r = r.WithContext(ctx)

	recorded := &statusWriter{ResponseWriter: w}
	defer s.record(r, route, recorded)()
	if route == AnyRoute {
		notFound(r).write(recorded)
		return
	}
	s.routes.ServeHTTP(recorded, r)
}

func notFound(r *http.Request) answer {
	if strings.HasPrefix(r.URL.Path, "/v1/note") || strings.HasPrefix(r.URL.Path, "/v1/audio") {
		return noteError(http.StatusNotFound, "NOT_FOUND", "The endpoint does not exist.")
	}
	return sonioxError(http.StatusNotFound, "not_found", "The endpoint does not exist.")
}

// bearer returns the key of a request.
func bearer(r *http.Request) string {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return key
}

// sleep waits and reports whether the wait was not interrupted.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
