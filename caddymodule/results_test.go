package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/providers/standin"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

// newProviders starts the stand-in for the providers' APIs, and sets SONIOX_API and the
// keys.
func newProviders(t *testing.T, o standin.Options) *standin.Server {
	t.Helper()
	providers := standin.New(o)
	api := httptest.NewServer(providers)
	t.Cleanup(func() {
		providers.Close()
		api.Close()
	})
	t.Setenv("PROVIDERS_API", api.URL)
	t.Setenv("SONIOX_API_KEY", standin.SonioxKey)
	t.Setenv("SOAPNOTE_API_KEY", standin.SOAPNoteKey)
	return providers
}

// sonioxAPI is a handler with an API, and further options.
func sonioxAPI(options string) string {
	return "scribegate /soniox soniox {\nheader " + sonioxHeader + " {env.SONIOX_SECRET}\n" +
		"api_key {env.SONIOX_API_KEY}\napi_base {env.PROVIDERS_API}\napi_rate 6000\n" + options + "\n}"
}

// data is the data of a delivered event.
type data struct {
	Status        string              `json:"status"`
	Metadata      map[string][]string `json:"metadata"`
	Raw           json.RawMessage     `json:"raw"`
	Note          json.RawMessage     `json:"note"`
	Transcription *struct {
		CreatedAt         string `json:"created_at"`
		Model             string `json:"model"`
		AudioDurationMS   int64  `json:"audio_duration_ms"`
		ClientReferenceID string `json:"client_reference_id"`
		ErrorType         string `json:"error_type"`
		ErrorMessage      string `json:"error_message"`
		Unavailable       string `json:"unavailable"`
		Transcript        *struct {
			Text   string            `json:"text"`
			Tokens []json.RawMessage `json:"tokens"`
		} `json:"transcript"`
	} `json:"transcription"`
}

// dataOf returns the data of a structured delivery, which must fit the schema.
func dataOf(t *testing.T, d delivered) data {
	t.Helper()
	eventtest.Validate(t, d.body)
	var e struct {
		Data data `json:"data"`
	}
	if err := json.Unmarshal(d.body, &e); err != nil {
		t.Fatal(err)
	}
	return e.Data
}

// An event is answered at once, and delivered with its transcript.
func TestFetch(t *testing.T) {
	for fetch, want := range map[string]struct{ text, tokens bool }{"transcript": {true, true}, "text": {true, false}, "none": {}} {
		t.Run(fetch, func(t *testing.T) {
			providers := newProviders(t, standin.Options{})
			id := providers.AddTranscription(standin.Transcription{Model: "stt-async-v3", AudioDurationMS: 16079, ClientReferenceID: "visit-7"})
			s, ehr := newSite(t), newBackend(t)
			s.load(upstreams("ehr", ehr.URL), sonioxAPI("fetch "+fetch+"\ndeliver_to ehr"))
			if got := do(t, s.soniox("/soniox?visit=7", transcription(id))); got.status != http.StatusOK {
				t.Fatalf("answered %d %s", got.status, got.body)
			}
			got := dataOf(t, ehr.wait(t, 1)[0])
			tr := got.Transcription
			if tr == nil {
				t.Fatal("the event has no transcription")
			}
			if tr.Model != "stt-async-v3" || tr.AudioDurationMS != 16079 || tr.ClientReferenceID != "visit-7" || tr.CreatedAt == "" || tr.Unavailable != "" {
				t.Errorf("the transcription is %+v", *tr)
			}
			if (tr.Transcript != nil) != want.text || want.text && (tr.Transcript.Text == "" || (len(tr.Transcript.Tokens) > 0) != want.tokens) {
				t.Errorf("the transcript is %+v", tr.Transcript)
			}
			if got.Metadata["visit"][0] != "7" {
				t.Errorf("the metadata is %v", got.Metadata)
			}
		})
	}
}

// A transcription that failed is delivered with Soniox's reason.
func TestFetchOfFailure(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id := providers.AddTranscription(standin.Transcription{Status: standin.Failed, ErrorType: "audio_too_long", ErrorMessage: "the audio is too long"})
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), sonioxAPI("deliver_to ehr"))
	do(t, s.soniox("/soniox", fmt.Sprintf(`{"id":%q,"status":"error"}`, id)))
	got := dataOf(t, ehr.wait(t, 1)[0])
	if tr := got.Transcription; got.Status != "failed" || tr == nil || tr.ErrorType != "audio_too_long" || tr.ErrorMessage == "" || tr.Unavailable != "audio_too_long" || tr.Transcript != nil {
		t.Errorf("the event is %+v", got)
	}
}

// A raw upstream receives what the provider sent, after it is confirmed.
func TestFetchForRaw(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	s, ehr := newSite(t), newBackend(t)
	s.load("scribegate {\nQUEUE\nupstream ehr "+ehr.URL+" {\nformat raw\n}\n}", sonioxAPI("deliver_to ehr"))
	unknown, known := uuid.NewString(), providers.AddTranscription(standin.Transcription{})
	do(t, s.soniox("/soniox", transcription(unknown)))
	do(t, s.soniox("/soniox?visit=7", transcription(known)))
	got := ehr.wait(t, 1)
	if string(got[0].body) != transcription(known) || !strings.HasSuffix(got[0].uri, "?visit=7") || got[0].header.Get(sonioxHeader) != testSoniox {
		t.Errorf("received %q at %s", got[0].body, got[0].uri)
	}
	eventually(t, "the unknown one to be asked for twice", func() bool {
		n := 0
		for _, r := range providers.Requests() {
			if strings.Contains(r.Path, unknown) {
				n++
			}
		}
		return n >= 2
	})
	if got := ehr.deliveries(); len(got) != 1 {
		t.Errorf("%d requests were delivered, want the confirmed one only", len(got))
	}
}

// While the API refuses the key, events wait; the status says why. With the right key they
// are delivered, without a reload.
func TestWrongKey(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id := providers.AddTranscription(standin.Transcription{})
	s, ehr := newSite(t), newBackend(t)
	file := filepath.Join(s.dir, "key")
	if err := os.WriteFile(file, []byte("snx_wrong_key_of_another_project"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.load(upstreams("ehr", ehr.URL), strings.Replace(sonioxAPI("deliver_to ehr"), "{env.SONIOX_API_KEY}", "{file."+file+"}", 1))
	do(t, s.soniox("/soniox", transcription(id)))
	eventually(t, "the status to say that the key is refused", func() bool {
		apis := queued(t).APIs
		return len(apis) == 1 && apis[0].Pending == 1 && apis[0].Configured && apis[0].LastFailure != nil && apis[0].LastFailure.Reason == "unauthorized" && apis[0].LastFailure.Status == http.StatusUnauthorized
	})
	if n := len(ehr.deliveries()); n != 0 {
		t.Fatalf("%d unconfirmed events were delivered", n)
	}
	if st := queued(t); st.Upstreams[0].Pending != 1 {
		t.Errorf("the upstream has %d pending events, want 1", st.Upstreams[0].Pending)
	}
	if err := os.WriteFile(file, []byte(standin.SonioxKey), 0o600); err != nil {
		t.Fatal(err)
	}
	ehr.wait(t, 1)
}

// Without an api_key any more, what waits for its confirmation stays until it is replayed.
func TestRemovedAPIKey(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	providers.Fail(standin.AnyRoute, standin.Fault{Status: http.StatusInternalServerError})
	id := providers.AddTranscription(standin.Transcription{})
	a := newAdminSite(t)
	a.run(upstreams("ehr", a.ehr.URL), sonioxAPI("deliver_to ehr"))
	event := do(t, a.soniox("/soniox", transcription(id))).id(t)
	eventually(t, "a request", func() bool { return len(providers.Requests()) > 0 })

	a.run(upstreams("ehr", a.ehr.URL), "scribegate /soniox soniox {\nheader "+sonioxHeader+" {env.SONIOX_SECRET}\ndeliver_to ehr\n}")
	other := do(t, a.soniox("/soniox", transcription(uuid.NewString()))).id(t)
	if got := a.ehr.wait(t, 1)[0].header.Get("webhook-id"); got != other {
		t.Fatalf("%s was delivered, want %s", got, other)
	}
	if apis := queued(t).APIs; len(apis) != 1 || apis[0].Pending != 1 || apis[0].Configured {
		t.Errorf("the status has %+v", apis)
	}
	if got := a.ask(http.MethodPost, "/scribegate/replay", fmt.Sprintf(`{"ids":[%q]}`, event)); got.status != http.StatusOK {
		t.Fatalf("the replay was answered %d %s", got.status, got.body)
	}
	if got := a.ehr.wait(t, 2)[1].header.Get("webhook-id"); got != event {
		t.Errorf("%s was delivered, want %s", got, event)
	}
}

// A transcript of 10 MB is delivered whole.
func TestHugeTranscript(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id := uuid.NewString()
	huge := standin.HugeTranscript(id, 10<<20)
	providers.AddTranscription(standin.Transcription{ID: id, Transcript: huge})
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), sonioxAPI("deliver_to ehr"))
	do(t, s.soniox("/soniox", transcription(id)))
	var want struct{ Tokens []json.RawMessage }
	if err := json.Unmarshal(huge, &want); err != nil {
		t.Fatal(err)
	}
	if got := dataOf(t, ehr.wait(t, 1)[0]); got.Transcription == nil || got.Transcription.Transcript == nil || len(got.Transcription.Transcript.Tokens) != len(want.Tokens) {
		t.Error("the transcript is not complete")
	}
}

// A confirmed event whose transcript cannot be had is delivered without it.
func TestFetchTimeout(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	providers.Fail(standin.GetTranscript, standin.Fault{Status: http.StatusInternalServerError})
	id := providers.AddTranscription(standin.Transcription{})
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), sonioxAPI("fetch_timeout 2s\ndeliver_to ehr"))
	began := time.Now()
	do(t, s.soniox("/soniox", transcription(id)))
	got := dataOf(t, ehr.wait(t, 1)[0])
	if tr := got.Transcription; tr == nil || tr.Unavailable != "unreachable" || tr.Transcript != nil {
		t.Errorf("the event is %+v", got)
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("delivered after %s, before fetch_timeout", took)
	}
}

// envOf returns a variable that the test has set.
func envOf(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set", name)
	}
	return value
}
