package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

const signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

var testSecrets = secrets{soapnote: "whsec_of_these_tests", soniox: "soniox-secret-of-these-tests", sonioxKey: standin.SonioxKey}

// A fake is a minimal gateway for the steps, beside the stand-in for Soniox. It makes the
// mistakes that a test selects.
type fake struct {
	t        *testing.T
	backends http.Handler
	signing  string

	mu  sync.Mutex // the requests of a test and of the stand-in come at the same time
	ids []string   // of the accepted events

	acceptForged   bool
	noDuplicates   bool // does not detect duplicates
	noDeliveries   bool
	deliverTwice   bool
	deliverTestAll bool // delivers test events to both upstreams
	noTranscripts  bool // does not ask the API
}

// scene starts the fake and returns a scene with it.
func (f *fake) scene(t *testing.T, out io.Writer) scene {
	t.Helper()
	f.t = t
	in := newInbox()
	key, err := receive.ParseSecret(signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	f.backends = in.handler(key, ehr, audit)
	patience := 10 * time.Second
	if f.noDeliveries || f.signing != "" { // no backend handles an event
		patience = 10 * time.Millisecond
	}
	if f.signing == "" {
		f.signing = signingSecret
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	providers := standin.New(standin.Options{})
	soniox := httptest.NewServer(providers)
	t.Cleanup(soniox.Close)
	t.Cleanup(providers.Close)
	return scene{
		gateway: server.URL, soniox: soniox.URL, inbox: in, patience: patience,
		idle: func(context.Context) error { return nil }, out: printer{w: out},
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	if !f.genuine(r, body) && !f.acceptForged {
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"error":"unauthorized"}`)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	sum := sha256.Sum256(body)
	id := hex.EncodeToString(sum[:8])
	if slices.Contains(f.ids, id) && !f.noDuplicates {
		fmt.Fprintf(w, `{"received":true,"id":%q,"duplicate":true}`, id)
		return
	}
	f.ids = append(f.ids, id)
	if !f.noDeliveries {
		f.deliver(id, body)
	}
	if f.deliverTwice {
		f.deliver(id, body)
	}
	fmt.Fprintf(w, `{"received":true,"id":%q}`, id)
}

func (f *fake) genuine(r *http.Request, body []byte) bool {
	if r.URL.Path == "/soniox" {
		return r.Header.Get("Authorization") == "Bearer "+testSecrets.soniox
	}
	mac := hmac.New(sha256.New, []byte(testSecrets.soapnote))
	mac.Write([]byte(r.Header.Get("X-SoapNoteAPI-Timestamp") + "."))
	mac.Write(body)
	return r.Header.Get("X-SoapNoteAPI-Signature") == hex.EncodeToString(mac.Sum(nil))
}

// deliver sends an event to audit in the binary format and, unless it is a test
// event, to ehr in the structured one.
func (f *fake) deliver(id string, body []byte) {
	data := f.data(body)
	f.post(audit, id, data, map[string]string{"Content-Type": "application/json", "ce-id": id, "ce-type": "com.example.binary"})
	if !bytes.Contains(body, []byte(`"event":"test"`)) || f.deliverTestAll {
		f.post(ehr, id, fmt.Sprintf(`{"id":%q,"type":"com.example.structured","data":%s}`, id, data),
			map[string]string{"Content-Type": "application/cloudevents+json"})
	}
}

// data returns the data of the event for a provider's request.
func (f *fake) data(body []byte) string {
	var webhook struct {
		ID string `json:"id"` // only Soniox's has it
	}
	if err := json.Unmarshal(body, &webhook); err != nil {
		f.t.Error(err)
	}
	switch {
	case webhook.ID == "":
		return `{}`
	case f.noTranscripts:
		return fmt.Sprintf(`{"id":%q}`, webhook.ID)
	}
	return fmt.Sprintf(`{"id":%q,"transcription":{"transcript":{"text":"A word.","tokens":[{},{}]}}}`, webhook.ID)
}

func (f *fake) post(upstream, id, body string, header map[string]string) {
	webhook, err := standardwebhooks.NewWebhook(f.signing)
	if err != nil {
		f.t.Error(err)
		return
	}
	now := time.Now()
	signature, err := webhook.Sign(id, now, []byte(body))
	if err != nil {
		f.t.Error(err)
	}
	r := httptest.NewRequestWithContext(f.t.Context(), http.MethodPost, "/"+upstream, strings.NewReader(body))
	for name, value := range header {
		r.Header.Set(name, value)
	}
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("webhook-signature", signature)
	r.Header.Set("scribegate-attempt", "1")
	f.backends.ServeHTTP(httptest.NewRecorder(), r)
}
