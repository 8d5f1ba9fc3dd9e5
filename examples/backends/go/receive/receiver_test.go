package receive

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	id         = "soapnoteapi-0123456789abcdef0123456789abcdef"
	noteType   = "com.soapnoteapi.note.generated"
	data       = `{"provider":"soapnoteapi","kind":"note","id":"n1","status":"completed","note":{"plan":"rest"},"metadata":{}}`
	structured = `{"specversion":"1.0","id":"` + id + `","source":"https://soapnoteapi.com","type":"` + noteType + `","datacontenttype":"application/json","data":` + data + `}`
)

// delivery returns a signed request, in the structured format unless header changes
// that.
func delivery(t *testing.T, body string, header map[string]string) *http.Request {
	t.Helper()
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, vectorKey(t))
	io.WriteString(mac, id+"."+timestamp+"."+body)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/events", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	r.Header.Set("webhook-id", id)
	r.Header.Set("webhook-timestamp", timestamp)
	r.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	r.Header.Set("scribegate-attempt", "3")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	return r
}

var binary = map[string]string{"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": id, "ce-type": noteType}

func TestReceiver(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		request func(*testing.T) *http.Request
		status  int
		line    string
		data    string // that is handled; "" if none is
	}{
		"structured": {
			request: func(t *testing.T) *http.Request { return delivery(t, structured, nil) },
			status:  204, line: "received " + noteType + " " + id + " attempt 3\n", data: data,
		},
		"binary": {
			request: func(t *testing.T) *http.Request { return delivery(t, data, binary) },
			status:  204, line: "received " + noteType + " " + id + " attempt 3\n", data: data,
		},
		"no attempt given": {
			request: func(t *testing.T) *http.Request {
				return delivery(t, structured, map[string]string{"scribegate-attempt": ""})
			},
			status: 204, line: "received " + noteType + " " + id + " attempt 0\n", data: data,
		},
		"forged": {
			request: func(t *testing.T) *http.Request {
				return delivery(t, structured, map[string]string{"webhook-signature": vectorSignature})
			},
			status: 401, line: "refused 401 " + ErrMismatch.Error() + "\n",
		},
		"not POST": {
			request: func(t *testing.T) *http.Request {
				return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil)
			},
			status: 405,
		},
		"signed, but for another event": {
			request: func(t *testing.T) *http.Request {
				return delivery(t, strings.Replace(structured, id, "soapnoteapi-other", 1), nil)
			},
			status: 400, line: "refused 400 " + ErrFormat.Error() + "\n",
		},
		"signed, but not JSON": {
			request: func(t *testing.T) *http.Request { return delivery(t, `{"id":`, nil) },
			status:  400, line: "refused 400 " + ErrFormat.Error() + "\n",
		},
		"signed, but raw": {
			request: func(t *testing.T) *http.Request {
				return delivery(t, `{"event":"test"}`, map[string]string{"Content-Type": "application/json"})
			},
			status: 400, line: "refused 400 " + ErrFormat.Error() + "\n",
		},
		"signed, without a content type": {
			request: func(t *testing.T) *http.Request {
				return delivery(t, structured, map[string]string{"Content-Type": ""})
			},
			status: 400, line: "refused 400 " + ErrFormat.Error() + "\n",
		},
		"too large": {
			request: func(t *testing.T) *http.Request { return delivery(t, strings.Repeat(" ", MaxBody+1), nil) },
			status:  413, line: "refused 413 the body is too large or incomplete\n",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			var handled string
			rc := New(vectorKey(t), &out, func(d Delivery) error { handled = string(d.Data); return nil })
			w := httptest.NewRecorder()
			rc.ServeHTTP(w, tt.request(t))
			if w.Code != tt.status {
				t.Errorf("status = %d, want %d", w.Code, tt.status)
			}
			if out.String() != tt.line {
				t.Errorf("printed %q, want %q", out.String(), tt.line)
			}
			if handled != tt.data {
				t.Errorf("handled %q, want %q", handled, tt.data)
			}
		})
	}
}

func TestReceiverHandlesAnEventOnce(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	handled := 0
	fail := true
	rc := New(vectorKey(t), &out, func(Delivery) error {
		if fail {
			return errors.New("the database is down")
		}
		handled++
		return nil
	})
	for i, want := range []int{500, 204, 204} {
		w := httptest.NewRecorder()
		rc.ServeHTTP(w, delivery(t, structured, nil))
		if w.Code != want {
			t.Errorf("delivery %d: status = %d, want %d", i+1, w.Code, want)
		}
		fail = false
	}
	if handled != 1 {
		t.Errorf("handled %d times, want 1", handled)
	}
	rest := " " + noteType + " " + id + " attempt 3\n"
	if want := "failed" + rest + "received" + rest + "duplicate" + rest; out.String() != want {
		t.Errorf("printed %q, want %q", out.String(), want)
	}
}

func TestReceiverHandlesAnEventOnceAtTheSameMoment(t *testing.T) {
	t.Parallel()
	var handled atomic.Int32
	rc := New(vectorKey(t), io.Discard, func(Delivery) error { handled.Add(1); return nil })
	var wg sync.WaitGroup
	for range 16 {
		r := delivery(t, structured, nil)
		wg.Go(func() { rc.ServeHTTP(httptest.NewRecorder(), r) })
	}
	wg.Wait()
	if handled.Load() != 1 {
		t.Errorf("handled %d times, want 1", handled.Load())
	}
}
