// Package sample makes the synthetic webhooks that `caddy scribegate send` sends.
//
// The package imports no other package of Scribegate.
package sample

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Body returns a synthetic payload of a sample event, different each time.
func Body(kind string, now time.Time) ([]byte, error) {
	id := uuid.NewString()
	created := now.UTC().Format("2006-01-02T15:04:05.000Z")
	switch kind {
	case "note.generated":
		return json.Marshal(map[string]any{
			"event": kind, "note_id": id, "status": "completed", "created_at": created,
			"data": map[string]any{
				"noteId":     id,
				"subjective": "Synthetic: the patient reports a cough for three days.",
				"objective":  "Synthetic: temperature 37.1 °C, lungs clear.",
				"assessment": "Synthetic: acute upper respiratory infection.",
				"plan":       "Synthetic: rest and fluids.",
				"transcript": "Synthetic: good morning, what brings you here?",
				"billing_codes": map[string]any{
					"icd10": []any{map[string]string{"code": "J06.9", "description": "Acute upper respiratory infection"}},
					"cpt":   []any{map[string]string{"code": "99213", "description": "Office visit, established patient"}},
				},
				"patient_summary": "Synthetic: you have a cold.",
				"expires_at":      now.UTC().Add(24 * time.Hour).Format("2006-01-02T15:04:05.000Z"),
			},
		})
	case "note.failed":
		return json.Marshal(map[string]string{"event": kind, "note_id": id, "status": "failed", "created_at": created})
	case "test":
		return json.Marshal(map[string]string{"event": kind, "note_id": "test_" + strconv.FormatInt(now.UnixNano(), 10), "status": "test", "created_at": created})
	case "transcription.completed":
		return json.Marshal(map[string]string{"id": id, "status": "completed"})
	case "transcription.error":
		return json.Marshal(map[string]string{"id": id, "status": "error"})
	}
	return nil, fmt.Errorf("unknown sample %q", kind)
}

// Events are the sample events of each provider; the first is the default.
var Events = map[string][]string{
	"soapnoteapi": {"note.generated", "note.failed", "test"},
	"soniox":      {"transcription.completed", "transcription.error"},
}
