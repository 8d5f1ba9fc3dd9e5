package standin_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// TestNotes checks the answers for each kind of note and key.
func TestNotes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	const own = `{"noteId": "own",  "subjective":"<&>"}`
	for name, tt := range map[string]struct {
		path, key string
		status    int
		body      string // the whole of it, or the code of the error
	}{
		"completed":             {"/v1/note/own", standin.SOAPNoteKey, 200, own},
		"status":                {"/v1/audio/status/own", standin.SOAPNoteKey, 200, `{"noteId":"own","status":"COMPLETED"}`},
		"not yet":               {"/v1/note/later", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"status, not yet":       {"/v1/audio/status/later", standin.SOAPNoteKey, 200, `{"noteId":"later","status":"processing"}`},
		"failed":                {"/v1/note/failed", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"status, failed":        {"/v1/audio/status/failed", standin.SOAPNoteKey, 200, `{"noteId":"failed","status":"failed"}`},
		"expired":               {"/v1/note/expired", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"status, expired":       {"/v1/audio/status/expired", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"unknown":               {"/v1/note/unknown", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"escaped":               {"/v1/note/..%2Fnote%2Fown", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"another path":          {"/v1/note/own/more", standin.SOAPNoteKey, 404, "NOT_FOUND"},
		"no key":                {"/v1/note/own", "", 401, "UNAUTHORIZED"},
		"the other provider's":  {"/v1/note/own", standin.SonioxKey, 401, "UNAUTHORIZED"},
		"no key, status":        {"/v1/audio/status/own", "", 401, "UNAUTHORIZED"},
		"a set error":           {"/v1/note/broken", standin.SOAPNoteKey, 500, "INTERNAL_ERROR"},
		"a set error of a name": {"/v1/audio/status/broken", standin.SOAPNoteKey, 429, "TOO_MANY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{Now: func() time.Time { return now }})
			s.AddNote(standin.Note{ID: "own", Status: "COMPLETED", Data: []byte(own)})
			s.AddNote(standin.Note{ID: "later", Status: standin.Processing})
			s.AddNote(standin.Note{ID: "failed", Status: "failed"})
			s.AddNote(standin.Note{ID: "expired", ExpiresAt: now})
			s.Fail(standin.GetNote, standin.Fault{ID: "broken", Status: 500})
			s.Fail(standin.GetNoteStatus, standin.Fault{ID: "broken", Status: 429, ErrorType: "TOO_MANY"})
			status, body := call(t, "GET", url+tt.path, tt.key, "")
			if status != tt.status {
				t.Fatalf("%d %s, want %d", status, body, tt.status)
			}
			if status == http.StatusOK {
				if string(body) != tt.body {
					t.Errorf("%s, want %s", body, tt.body)
				}
				return
			}
			e := decode[struct {
				Error struct{ Code, Message string }
			}](t, body).Error
			if e.Code != tt.body || e.Message == "" {
				t.Errorf("%s, want the code %s", body, tt.body)
			}
		})
	}
}

// TestNoteExpires checks the end of a note, which the note itself names.
func TestNoteExpires(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	clock := now
	s, url := start(t, standin.Options{Now: func() time.Time { return clock }})
	note := s.AddNote(standin.Note{})
	_, body := call(t, "GET", url+"/v1/note/"+note, standin.SOAPNoteKey, "")
	var data struct {
		NoteID    string    `json:"noteId"`
		ExpiresAt time.Time `json:"expires_at"`
		Plan      string    `json:"plan"`
	}
	if err := json.Unmarshal(body, &data); err != nil {
		t.Fatal(err)
	}
	if data.NoteID != note || !data.ExpiresAt.Equal(now.Add(24*time.Hour)) || data.Plan == "" {
		t.Errorf("the note is %s", body)
	}
	clock = data.ExpiresAt.Add(-time.Second)
	if status, _ := call(t, "GET", url+"/v1/note/"+note, standin.SOAPNoteKey, ""); status != 200 {
		t.Errorf("before its end: %d", status)
	}
	clock = data.ExpiresAt
	if status, _ := call(t, "GET", url+"/v1/note/"+note, standin.SOAPNoteKey, ""); status != 404 {
		t.Errorf("at its end: %d", status)
	}
}

// TestUploadAudio follows notes from the upload to their webhooks, which are sent once.
func TestUploadAudio(t *testing.T) {
	t.Parallel()
	const secret = "whsec_of-this-test"
	for audio, event := range map[string]string{"visit": "note.generated", "fail": "note.failed"} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			hooks := receive(t, http.StatusInternalServerError)
			s, url := start(t, standin.Options{NoteWebhook: hooks.URL + "/soapnote?clinic=7", NoteSecret: secret})
			status, body := upload(t, "PUT", url+"/v1/note/audio", standin.SOAPNoteKey, map[string]string{"audio": audio, "metadata": "{}"})
			created := decode[struct{ NoteID, Status string }](t, body)
			if status != http.StatusAccepted || created.NoteID == "" || created.Status != "processing" {
				t.Fatalf("%d %s", status, body)
			}
			eventually(t, func() bool { return len(hooks.all()) > 0 })
			s.Close() // waits for what is still to be sent
			got := hooks.all()
			if len(got) != 1 {
				t.Errorf("the webhook was sent %d times", len(got))
			}
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(got[0].timestamp + "." + got[0].body))
			if got[0].signature != hex.EncodeToString(mac.Sum(nil)) || got[0].query != "clinic=7" {
				t.Errorf("webhook = %+v", got[0])
			}
			envelope := decode[struct {
				Event     string          `json:"event"`
				NoteID    string          `json:"note_id"`
				Status    string          `json:"status"`
				CreatedAt time.Time       `json:"created_at"`
				Data      json.RawMessage `json:"data"`
			}](t, []byte(got[0].body))
			_, note := call(t, "GET", url+"/v1/note/"+created.NoteID, standin.SOAPNoteKey, "")
			switch {
			case envelope.Event != event || envelope.NoteID != created.NoteID || envelope.CreatedAt.IsZero():
				t.Errorf("the webhook is %s", got[0].body)
			case event == "note.failed" && (envelope.Status != "failed" || envelope.Data != nil):
				t.Errorf("the webhook is %s", got[0].body)
			case event == "note.generated" && (envelope.Status != "completed" || string(envelope.Data) != string(note)):
				t.Errorf("the webhook is %s, and the note %s", got[0].body, note)
			}
		})
	}
}

// TestUploadAudioIsRefused checks what is not accepted as a recording.
func TestUploadAudioIsRefused(t *testing.T) {
	t.Parallel()
	_, url := start(t, standin.Options{})
	if status, body := upload(t, "PUT", url+"/v1/note/audio", standin.SOAPNoteKey, map[string]string{"metadata": "{}"}); status != 400 || !strings.Contains(string(body), `"code":"INVALID_REQUEST"`) {
		t.Errorf("without audio: %d %s", status, body)
	}
	if status, _ := call(t, "PUT", url+"/v1/note/audio", standin.SOAPNoteKey, "sound"); status != 400 {
		t.Errorf("without a form: %d", status)
	}
	if status, _ := call(t, "PUT", url+"/v1/note/audio", "", "sound"); status != 401 {
		t.Errorf("without a key: %d", status)
	}
}

// TestSendNote checks the errors of a webhook.
func TestSendNote(t *testing.T) {
	t.Parallel()
	hooks := receive(t, http.StatusUnauthorized)
	s, _ := start(t, standin.Options{NoteWebhook: hooks.URL + "?clinic=7", NoteSecret: "whsec_x"})
	note := s.AddNote(standin.Note{})
	if status, err := s.SendNote(t.Context(), note); status != 401 || err != nil {
		t.Errorf("SendNote = %d, %v", status, err)
	}
	if _, err := s.SendNote(t.Context(), "unknown"); err == nil {
		t.Error("an unknown note was sent")
	}
	hooks.Close()
	if _, err := s.SendNote(t.Context(), note); err == nil || strings.Contains(err.Error(), "clinic") {
		t.Errorf("without a receiver: %v", err)
	}
}
