package sender

import (
	"fmt"
	"time"
)

// NoteGenerated returns SOAPNoteAPI's payload for a finished note.
func NoteGenerated(noteID string, at time.Time) []byte {
	return fmt.Appendf(nil, `{"event":"note.generated","note_id":%[1]q,"status":"completed","created_at":%[2]q,"data":{"noteId":%[1]q,`+
		`"subjective":"Patient presents with a 3-day history of sore throat.","objective":"Temp 98.6F, HR 72.",`+
		`"assessment":"Acute upper respiratory infection.","plan":"Rest and fluids.","transcript":"Hello, what brings you here?",`+
		`"billing_codes":{"icd10":[{"code":"J06.9","description":"Acute upper respiratory infection"}],`+
		`"cpt":[{"code":"99213","description":"Office visit, established patient"}]},`+
		`"patient_summary":"You visited your doctor today for cold symptoms.","expires_at":%[3]q}}`,
		noteID, rfc3339(at), rfc3339(at.Add(24*time.Hour)))
}

// NoteFailed returns SOAPNoteAPI's payload for a note that could not be generated.
func NoteFailed(noteID string, at time.Time) []byte {
	return fmt.Appendf(nil, `{"event":"note.failed","note_id":%q,"status":"failed","created_at":%q}`, noteID, rfc3339(at))
}

// NoteTest returns the payload that SOAPNoteAPI's dashboard sends to test an endpoint.
func NoteTest(at time.Time) []byte {
	return fmt.Appendf(nil, `{"event":"test","note_id":"test_%d","status":"test","created_at":%q}`, at.UnixMilli(), rfc3339(at))
}

// Transcription returns Soniox's payload. status is "completed" or "error".
func Transcription(id, status string) []byte {
	return fmt.Appendf(nil, `{"id":%q,"status":%q}`, id, status)
}

// rfc3339 formats a time as SOAPNoteAPI does, with milliseconds.
func rfc3339(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
