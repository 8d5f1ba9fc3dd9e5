//go:build examples

package examples_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// checkDirect sends requests to a backend without the gateway: the backend must
// reject forged deliveries, and must answer a repeated one without handling it again.
func checkDirect(ctx context.Context, t *testing.T, b *backend, format, id string) {
	t.Helper()
	if got := get(ctx, t, b.url+"/healthz"); got != http.StatusOK {
		t.Errorf("/healthz: status %d, want 200", got)
	}
	if format == "raw" {
		checkDirectRaw(ctx, t, b, id)
		return
	}
	now := time.Now()
	for _, tt := range []struct {
		name   string
		header func(http.Header)
		secret string
		at     time.Time
		want   int
	}{
		{name: "forged", secret: otherSecret, at: now, want: 401},
		{name: "unsigned", secret: signingSecret, at: now, header: func(h http.Header) { h.Del("webhook-signature") }, want: 401},
		{name: "without an id", secret: signingSecret, at: now, header: func(h http.Header) { h.Del("webhook-id") }, want: 401},
		{name: "another event's", secret: signingSecret, at: now, header: func(h http.Header) { h.Set("webhook-id", "direct-1") }, want: 401},
		{name: "captured an hour ago", secret: signingSecret, at: now.Add(-time.Hour), want: 401},
		{name: "from a clock far ahead", secret: signingSecret, at: now.Add(time.Hour), want: 401},
		{name: "not a CloudEvent", secret: signingSecret, at: now, header: func(h http.Header) { h.Del("Content-Type") }, want: 400},
		{name: "delivered again", secret: signingSecret, at: now, want: 204},
		{name: "signed with two secrets", secret: signingSecret, at: now, header: func(h http.Header) {
			h.Set("webhook-signature", "v1,AAAA "+h.Get("webhook-signature"))
		}, want: 204},
	} {
		if got := post(ctx, t, b.url, structured(t, id, tt.secret, tt.at, tt.header), eventOf(id)); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.want)
		}
	}
	if err := b.wait(ctx, "duplicate", id); err != nil {
		t.Error(err)
	}
}

// eventOf returns the body of a structured delivery.
func eventOf(id string) []byte {
	return fmt.Appendf(nil, `{"specversion":"1.0","id":%q,"source":"https://soapnoteapi.com","type":"com.soapnoteapi.note.generated","data":{}}`, id)
}

// structured returns the header of a structured delivery of eventOf(id).
func structured(t *testing.T, id, secret string, at time.Time, change func(http.Header)) http.Header {
	t.Helper()
	h := signed(t, id, secret, at, eventOf(id))
	if change != nil {
		change(h)
	}
	return h
}

// signed returns the header of a structured delivery. The library of the Standard
// Webhooks project signs it.
func signed(t *testing.T, id, secret string, at time.Time, body []byte) http.Header {
	t.Helper()
	webhook, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := webhook.Sign(id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", fmt.Sprint(at.Unix()))
	h.Set("webhook-signature", signature)
	h.Set("scribegate-attempt", "2")
	return h
}

func checkDirectRaw(ctx context.Context, t *testing.T, b *backend, id string) {
	t.Helper()
	now := time.Now()
	for _, tt := range []struct {
		name   string
		secret string
		at     time.Time
		id     string
		header func(http.Header)
		want   int
	}{
		{name: "forged", secret: otherSecret, at: now, id: id, want: 401},
		{name: "unsigned", secret: soapnoteSecret, at: now, id: id, header: func(h http.Header) { h.Del("X-SoapNoteAPI-Signature") }, want: 401},
		{name: "a truncated signature", secret: soapnoteSecret, at: now, id: id, header: func(h http.Header) { h.Set("X-SoapNoteAPI-Signature", "3faeecba") }, want: 401},
		{name: "another timestamp", secret: soapnoteSecret, at: now, id: id, header: func(h http.Header) { h.Set("X-SoapNoteAPI-Timestamp", "1773934200") }, want: 401},
		{name: "a timestamp that ends in the body", secret: soapnoteSecret, at: now, id: id, header: func(h http.Header) { h.Set("X-SoapNoteAPI-Timestamp", "1773934200.1") }, want: 401},
		{name: "without the gateway's id", secret: soapnoteSecret, at: now, want: 400},
		{name: "delivered again", secret: soapnoteSecret, at: now, id: id, want: 204},
		{name: "retried for hours until the backend came back", secret: soapnoteSecret, at: now.Add(-16 * time.Hour), id: "direct-late", want: 204},
	} {
		body := sender.NoteFailed("note-3", tt.at)
		request, err := sender.SOAPNoteAPI(ctx, b.url, tt.secret, body, tt.at)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("webhook-id", tt.id)
		request.Header.Set("scribegate-attempt", "10")
		if tt.header != nil {
			tt.header(request.Header)
		}
		if got := post(ctx, t, b.url, request.Header, body); got != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, got, tt.want)
		}
	}
	if err := b.wait(ctx, "duplicate", id); err != nil {
		t.Error(err)
	}
	if err := b.wait(ctx, "received", "direct-late"); err != nil {
		t.Error(err)
	}
}

// post sends a request to a backend and returns the status of the answer.
func post(ctx context.Context, t *testing.T, url string, header http.Header, body []byte) int {
	t.Helper()
	return send(ctx, t, url, header, body).StatusCode
}

// send sends a request to a backend and returns the answer.
func send(ctx context.Context, t *testing.T, url string, header http.Header, body []byte) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/events", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}
