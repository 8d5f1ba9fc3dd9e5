package sender

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

var at = time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)

// TestSOAPNoteAPI compares the signature with the output of
//
//	printf '1773934200.{"event":"test"}' | openssl dgst -sha256 -hmac whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
func TestSOAPNoteAPI(t *testing.T) {
	t.Parallel()
	request, err := SOAPNoteAPI(t.Context(), "http://127.0.0.1:1/soapnote", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", []byte(`{"event":"test"}`), at)
	if err != nil {
		t.Fatal(err)
	}
	const want = "20bfce7949b9a3608a43173c183058c2277fb43489fefa1d1e5edfab4aa6fbc6"
	if got := request.Header.Get("X-SoapNoteAPI-Signature"); got != want {
		t.Errorf("signature = %s, want %s", got, want)
	}
	if got := request.Header.Get("X-SoapNoteAPI-Timestamp"); got != "1773934200" {
		t.Errorf("timestamp = %s", got)
	}
}

func TestSamples(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body []byte
		want map[string]string
	}{
		"note.generated": {NoteGenerated("n1", at), map[string]string{"event": "note.generated", "note_id": "n1", "status": "completed", "created_at": "2026-03-19T15:30:00.000Z"}},
		"note.failed":    {NoteFailed("n1", at), map[string]string{"event": "note.failed", "note_id": "n1", "status": "failed", "created_at": "2026-03-19T15:30:00.000Z"}},
		"test":           {NoteTest(at), map[string]string{"event": "test", "note_id": "test_1773934200000", "status": "test", "created_at": "2026-03-19T15:30:00.000Z"}},
		"transcription":  {Transcription("t1", "error"), map[string]string{"id": "t1", "status": "error"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got map[string]any
			if err := json.Unmarshal(tt.body, &got); err != nil {
				t.Fatal(err)
			}
			for member, want := range tt.want {
				if got[member] != want {
					t.Errorf("%s = %v, want %s", member, got[member], want)
				}
			}
			data, ok := got["data"].(map[string]any)
			if ok != (name == "note.generated") {
				t.Errorf("data is there: %v", ok)
			}
			if ok && data["expires_at"] != "2026-03-20T15:30:00.000Z" {
				t.Errorf("expires_at = %v", data["expires_at"])
			}
		})
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		want   Answer
		fails  bool
	}{
		"accepted":  {status: 200, body: `{"received":true,"id":"soniox-1"}`, want: Answer{Status: 200, Received: true, ID: "soniox-1"}},
		"duplicate": {status: 200, body: `{"received":true,"id":"soniox-1","duplicate":true}`, want: Answer{Status: 200, Received: true, ID: "soniox-1", Duplicate: true}},
		"rejected":  {status: 401, body: `{"error":"unauthorized"}`, want: Answer{Status: 401, Error: "unauthorized"}},
		"empty":     {status: 204, want: Answer{Status: 204}},
		"not JSON":  {status: 502, body: "Bad Gateway", want: Answer{Status: 502}, fails: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Method != http.MethodPost || r.Header.Get("X-Webhook-Secret") != "s" || string(body) != `{"id":"t1","status":"completed"}` {
					t.Errorf("%s with %q and a header %q", r.Method, body, r.Header.Get("X-Webhook-Secret"))
				}
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			}))
			t.Cleanup(server.Close)
			request, err := Soniox(t.Context(), server.URL, "x-webhook-secret", "s", Transcription("t1", "completed"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Send(request)
			if got != tt.want || (err != nil) != tt.fails {
				t.Errorf("Send() = %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
