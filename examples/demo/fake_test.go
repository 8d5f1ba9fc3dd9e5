package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
)

const (
	soapnoteSecret = "whsec_of_these_tests"
	sonioxSecret   = "soniox-secret-of-these-tests"
	signingSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

// A fake is a minimal gateway for the steps. It makes the mistakes that a test selects.
type fake struct {
	t        *testing.T
	backends http.Handler
	signing  string
	ids      []string // of the accepted events

	acceptForged   bool
	noDuplicates   bool // does not detect duplicates
	noDeliveries   bool
	deliverTwice   bool
	deliverTestAll bool // delivers test events to both upstreams
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
	if f.signing == "" {
		f.signing = signingSecret
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return scene{
		gateway: server.URL, inbox: in, patience: 10 * time.Millisecond,
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
	sum := sha256.Sum256(body)
	id := hex.EncodeToString(sum[:8])
	if slices.Contains(f.ids, id) && !f.noDuplicates {
		fmt.Fprintf(w, `{"received":true,"id":%q,"duplicate":true}`, id)
		return
	}
	f.ids = append(f.ids, id)
	if !f.noDeliveries {
		f.deliver(id, bytes.Contains(body, []byte(`"event":"test"`)))
	}
	if f.deliverTwice {
		f.deliver(id, false)
	}
	fmt.Fprintf(w, `{"received":true,"id":%q}`, id)
}

func (f *fake) genuine(r *http.Request, body []byte) bool {
	if r.URL.Path == "/soniox" {
		return r.Header.Get("Authorization") == "Bearer "+sonioxSecret
	}
	mac := hmac.New(sha256.New, []byte(soapnoteSecret))
	mac.Write([]byte(r.Header.Get("X-SoapNoteAPI-Timestamp") + "."))
	mac.Write(body)
	return r.Header.Get("X-SoapNoteAPI-Signature") == hex.EncodeToString(mac.Sum(nil))
}

// deliver sends an event to audit in the binary format and, unless it is a test
// event, to ehr in the structured one.
func (f *fake) deliver(id string, test bool) {
	f.post(audit, id, `{}`, map[string]string{"Content-Type": "application/json", "ce-id": id, "ce-type": "com.example.binary"})
	if !test || f.deliverTestAll {
		f.post(ehr, id, fmt.Sprintf(`{"id":%q,"type":"com.example.structured","data":{}}`, id),
			map[string]string{"Content-Type": "application/cloudevents+json"})
	}
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
