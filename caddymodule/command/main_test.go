package command

import (
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// The secrets in the environment of the tests, and bodies that tests sign with them.
const (
	soapnoteSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	sonioxSecret   = "soniox-test-value"

	capturedNote = `{"event":"note.generated","note_id":"captured","status":"completed","created_at":"2026-03-19T15:30:00.000Z","data":{"noteId":"captured","subjective":"PATIENT-TEXT"}}`

	capturedTranscription = `{"id":"tr-1","status":"completed"}`
)

func TestMain(m *testing.M) {
	commandtest.Main(m, map[string]string{"SOAPNOTE_SECRET": soapnoteSecret, "SONIOX_SECRET": sonioxSecret})
}
