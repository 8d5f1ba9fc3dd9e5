package results

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

func TestBudget(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, tt := range map[string]struct {
		budget budget
		kills  int
		want   int
	}{
		"one process":          {budget{perLife: 4}, 0, 4},
		"two kills":            {budget{perLife: 4}, 2, 12},
		"kills before it":      {budget{perLife: 4, kills: 5}, 6, 8},
		"a failure":            {budget{perLife: 4, failed: map[standin.Route]bool{standin.GetTranscript: true}}, 0, 5},
		"forged, at once":      {budget{forged: now}, 0, 1},
		"forged, after 3.5 s":  {budget{forged: now.Add(-3500 * time.Millisecond)}, 0, 3},
		"forged, after 130 s":  {budget{forged: now.Add(-130 * time.Second)}, 0, 8},
		"forged, with 3 kills": {budget{forged: now, kills: 1}, 4, 4},
	} {
		if got := tt.budget.limit(tt.kills, now); got != tt.want {
			t.Errorf("%s: limit() = %d, want %d", name, got, tt.want)
		}
	}
}

// delivery returns the body of a recording's delivery.
func (r recording) delivery(text, tokens string) []byte {
	return []byte(`{"subject":"` + r.id + `","data":{"metadata":{"visit":["` + r.id + `"]},"raw":{"id":"` + r.id + `","status":"completed"},` +
		`"transcription":{"transcript":{"text":` + text + `,"tokens":` + tokens + `}}}}`)
}

func TestRecordingCheck(t *testing.T) {
	t.Parallel()
	r := recording{id: uuid.NewString(), tokens: 3}
	text, tokens := r.transcript()
	complete := r.delivery(string(text), string(tokens))
	for name, tt := range map[string]struct {
		kind    recordingKind
		unknown bool
		body    []byte
		want    string // "" means none
	}{
		"complete":           {body: complete},
		"found":              {kind: missed, body: complete},
		"forged":             {kind: forged, body: complete, want: "does not know"},
		"another handler's":  {kind: foreign, body: complete, want: "another handler's"},
		"of nothing":         {unknown: true, body: complete, want: "no webhook"},
		"other bytes":        {body: r.delivery(`"Visit `+r.id+`"`, string(tokens)), want: "its text"},
		"without spaces":     {body: r.delivery(string(text), strings.ReplaceAll(string(tokens), ", ", ",")), want: "its tokens"},
		"without transcript": {body: []byte(strings.Replace(string(complete), `"transcript"`, `"unavailable"`, 1)), want: "its text"},
		"another metadata":   {body: []byte(strings.Replace(string(complete), `"visit"`, `"v"`, 1)), want: "its metadata"},
		"cut off":            {body: complete[:len(complete)-1], want: "not JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := r
			r.kind = tt.kind
			if err := r.check(!tt.unknown, tt.body); (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("check() = %v, want %q", err, tt.want)
			}
		})
	}
}

// newAPI returns an API that never fails on its own, and a workload.
func newAPI(t *testing.T, deletable func(id string) bool) (*providerAPI, *workload) {
	t.Helper()
	api, err := newProviderAPI(t.Context(), deletable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.close)
	api.beStrict()
	return api, &workload{api: api, book: ledger.NewBook(), missed: ledger.NewBook(), all: make(map[string]recording)}
}

func always(string) bool { return true }

func never(string) bool { return false }

// request sends a request as a gateway would, and calls began, which may be nil, when the first byte of an answer is
// there. It returns what came of the answer until ctx ended.
func (p *providerAPI) request(ctx context.Context, t *testing.T, method, path string, began func()) (status int, body []byte, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, p.url()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+standin.SonioxKey)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	first := make([]byte, 1)
	n, _ := resp.Body.Read(first) // ReadAll returns its error again
	if began != nil {
		began()
	}
	rest, err := io.ReadAll(resp.Body)
	return resp.StatusCode, append(first[:n], rest...), err
}

// TestStrikes checks what a request finds that is answered in each way, and its effect.
func TestStrikes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		route   standin.Route
		answer  cutAnswer
		method  string
		path    string
		deleted bool
		check   func(body []byte, err error) bool
	}{
		"none":  {standin.DeleteTranscription, none, "DELETE", "", false, func(body []byte, err error) bool { return err != nil && body == nil }},
		"lost":  {standin.DeleteTranscription, lost, "DELETE", "", true, func(body []byte, err error) bool { return err != nil && body == nil }},
		"whole": {standin.DeleteTranscription, whole, "DELETE", "", true, func(_ []byte, err error) bool { return err == nil }},
		"half": {standin.GetTranscript, half, "GET", "/transcript", false, func(body []byte, err error) bool {
			return err != nil && len(body) > 0 && !strings.HasSuffix(string(body), "}")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, w := newAPI(t, always)
			r := recording{id: uuid.NewString(), file: uuid.NewString(), tokens: 3}
			w.add(r)
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			hit := api.arm(moment{route: tt.route, answer: tt.answer}, map[string]bool{r.id: true})
			var began func()
			switch tt.answer {
			case half:
				began = kill
			case none, lost:
				go func() {
					<-hit
					kill()
				}()
			case whole:
			}
			if _, body, err := api.request(ctx, t, tt.method, "/v1/transcriptions/"+r.id+tt.path, began); !tt.check(body, err) {
				t.Errorf("answer %q, %v", body, err)
			}
			<-hit
			api.killed()
			if _, there := api.Transcription(r.id); there == tt.deleted {
				t.Errorf("the transcription is there: %v", there)
			}
			if _, _, err := api.request(t.Context(), t, "GET", "/v1/transcriptions/"+r.id, nil); err != nil {
				t.Errorf("after the kill: %v", err)
			}
			if s := api.spent(); s.requests != 2 || s.over != nil {
				t.Errorf("spent() = %+v", s)
			}
		})
	}
}

// TestAPIFindsWrongRequests checks that the API notices what a gateway must never request.
func TestAPIFindsWrongRequests(t *testing.T) {
	t.Parallel()
	r := recording{id: uuid.NewString(), file: uuid.NewString()}
	stranger := uuid.NewString()
	for name, tt := range map[string]struct {
		deletable func(string) bool
		requests  []string
		want      string // "" means none
	}{
		"a deletion":          {always, []string{"GET /v1/transcriptions", "DELETE /v1/transcriptions/" + r.id, "DELETE /v1/files/" + r.file}, ""},
		"too early":           {never, []string{"DELETE /v1/transcriptions/" + r.id}, "before every upstream"},
		"the file first":      {always, []string{"DELETE /v1/files/" + r.file}, "needs"},
		"a stranger":          {always, []string{"GET /v1/transcriptions/" + stranger}, "no event names"},
		"a stranger's file":   {always, []string{"DELETE /v1/files/" + stranger}, "no event names"},
		"again and again":     {always, []string{"GET /v1/transcriptions/" + r.id, "GET /v1/transcriptions/" + r.id, "GET /v1/transcriptions/" + r.id, "GET /v1/transcriptions/" + r.id, "GET /v1/transcriptions/" + r.id}, "5 requests"},
		"nothing at all":      {always, nil, ""},
		"a file twice":        {always, []string{"DELETE /v1/transcriptions/" + r.id, "DELETE /v1/files/" + r.file, "DELETE /v1/files/" + r.file}, "2 requests"},
		"the number of files": {always, []string{"GET /v1/files/count", "GET /v1/transcriptions/count"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, w := newAPI(t, tt.deletable)
			w.add(r)
			for _, request := range tt.requests {
				method, path, _ := strings.Cut(request, " ")
				if _, _, err := api.request(t.Context(), t, method, path, nil); err != nil {
					t.Fatal(err)
				}
			}
			err := api.firstWrong()
			if err == nil {
				err = api.spent().over
			}
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestAPIFails checks that requests fail now and then, and at most once for the deletion of a result.
func TestAPIFails(t *testing.T) {
	t.Parallel()
	var failed, twice int
	api, w := newAPI(t, always)
	api.strict = false
	for range 100 {
		r := recording{id: uuid.NewString(), file: uuid.NewString()}
		w.add(r)
		once := 0
		for _, request := range []string{"DELETE /v1/transcriptions/" + r.id, "DELETE /v1/files/" + r.file} {
			method, path, _ := strings.Cut(request, " ")
			before := api.failures(r)
			out := httptest.NewRecorder()
			q := httptest.NewRequestWithContext(t.Context(), method, path, nil)
			q.Header.Set("Authorization", "Bearer "+standin.SonioxKey)
			func() {
				defer func() { _ = recover() }() // the connection is cut
				api.routes.ServeHTTP(out, q)
			}()
			once += api.failures(r) - before
		}
		if failed += once; once > 1 {
			twice++
		}
	}
	if failed == 0 || twice > 0 {
		t.Errorf("%d failures; %d deletions failed twice", failed, twice)
	}
}

func (p *providerAPI) failures(r recording) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.budgets[r.id].failed) + len(p.budgets[r.file].failed)
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	ours, other := uuid.NewString(), uuid.NewString()
	file, shared, alone := uuid.NewString(), uuid.NewString(), uuid.NewString()
	for name, tt := range map[string]struct {
		requests []string
		left     int
		want     string // "" means none
	}{
		"nothing deleted":         {nil, 2, ""},
		"all that is ours":        {[]string{"transcriptions/" + alone, "files/" + file, "transcriptions/" + ours}, 0, ""},
		"a file is left":          {[]string{"transcriptions/" + alone, "transcriptions/" + ours}, 1, ""},
		"the other handler's":     {[]string{"transcriptions/" + other}, 0, "another handler was deleted"},
		"the other handler's too": {[]string{"files/" + shared}, 0, "another handler's transcription was deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, w := newAPI(t, always)
			w.add(recording{id: alone, file: file}, recording{id: ours, file: shared}, recording{id: other, file: shared, kind: foreign}, recording{id: uuid.NewString(), kind: forged})
			for _, path := range tt.requests {
				if status, _, err := api.request(t.Context(), t, "DELETE", "/v1/"+path, nil); status != http.StatusNoContent {
					t.Fatalf("%d, %v", status, err)
				}
			}
			left, err := w.leftovers()
			if left != tt.left || (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("leftovers() = %d, %v, want %d, %q", left, err, tt.left, tt.want)
			}
		})
	}
}

// TestWorkload checks that a workload has recordings of every kind.
func TestWorkload(t *testing.T) {
	t.Parallel()
	_, w := newAPI(t, always)
	for n := range 40 {
		w.next(n)
	}
	accepted := make(map[string]bool)
	has := func(id string) bool { return accepted[id] }
	for kind := announced; kind <= foreign; kind++ {
		if n, delivered := w.count(kind, has); n == 0 || delivered > 0 {
			t.Errorf("%d recordings of kind %d, %d of them delivered", n, kind, delivered)
		}
	}
	for id := range w.missed.Snapshot() {
		accepted[id] = true
	}
	if n, delivered := w.count(missed, has); n != delivered {
		t.Errorf("%d missed recordings, %d of them delivered", n, delivered)
	}
}

// TestAccountIsFull checks that a deletion makes room, also if its answer was lost.
func TestAccountIsFull(t *testing.T) {
	t.Parallel()
	api, w := newAPI(t, always)
	first := recording{id: uuid.NewString(), file: uuid.NewString()}
	w.add(first)
	w.add(recording{id: uuid.NewString(), file: uuid.NewString(), kind: foreign}, recording{id: uuid.NewString(), kind: forged})
	for range maxOpen - 1 {
		if api.full() {
			t.Fatal("the account is full too early")
		}
		w.add(recording{id: uuid.NewString(), file: uuid.NewString()})
	}
	if !api.full() {
		t.Fatal("the account is not full")
	}
	ctx, kill := context.WithCancel(t.Context())
	hit := api.arm(moment{route: standin.DeleteTranscription, answer: lost}, nil)
	go func() {
		<-hit
		kill()
	}()
	if _, _, err := api.request(ctx, t, "DELETE", "/v1/transcriptions/"+first.id, nil); err == nil {
		t.Error("the lost answer came")
	}
	if err := await.Eventually(t.Context(), "room in the account", func() (bool, error) { return !api.full(), nil }); err != nil {
		t.Error(err)
	}
}

// TestFirstLost checks that an event that was not delivered is shown, as far as the gateway knows it.
func TestFirstLost(t *testing.T) {
	t.Parallel()
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"id":"`+r.URL.Path+`","state":"pending"}`)
	}))
	t.Cleanup(admin.Close)
	r := &gateway.Rig{Ledger: ledger.New(), Admin: strings.TrimPrefix(admin.URL, "http://")}
	t.Cleanup(r.Ledger.Close)
	for _, name := range []string{"ehr", "audit"} {
		if _, err := r.Ledger.Add(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	k := &resultsRun{Rig: r, work: &workload{book: ledger.NewBook(), missed: ledger.NewBook()}}
	k.work.missed.Acknowledge("soniox-1", nil, false, 0)
	if err := k.firstLost(t.Context()); err == nil || !strings.Contains(err.Error(), `/scribegate/events/soniox-1","state":"pending"`) {
		t.Errorf("firstLost() = %v", err)
	}
	for _, name := range r.Ledger.Names() {
		delivery := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", strings.NewReader("{}"))
		delivery.Header.Set("webhook-id", "soniox-1")
		r.Ledger.Backend(name).ServeHTTP(httptest.NewRecorder(), delivery)
	}
	if err := k.firstLost(t.Context()); err != nil {
		t.Errorf("firstLost() = %v after the delivery", err)
	}
}
