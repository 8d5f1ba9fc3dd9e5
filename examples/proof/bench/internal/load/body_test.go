package load

import (
	"encoding/json"
	"strings"
	"testing"
)

const testID = "0123456789abcdef"

func (b body) with(id string) string { return b.before + id + b.after }

func TestBodies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body body
		size int
		id   string // the member
	}{
		"the smallest note":  {NoteBody(100), 126, "note_id"},
		"0.4 kB":             {NoteBody(400), 400, "note_id"},
		"1.5 kB":             {NoteBody(1500), 1500, "note_id"},
		"256 kB":             {NoteBody(256_000), 256_000, "note_id"},
		"Soniox's, 0.1 kB":   {TranscriptionBody(), 0, "id"},
		"a byte too few for": {NoteBody(len(noteHead+noteData+noteTail+noteEnd) + idLength - 1), 126, "note_id"},
		"just enough":        {NoteBody(len(noteHead+noteData+noteTail+noteEnd) + idLength), len(noteHead+noteData+noteTail+noteEnd) + idLength, "note_id"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := tt.body.with(testID)
			if tt.size != 0 && (len(text) != tt.size || tt.body.Size() != tt.size) {
				t.Errorf("%d bytes, Size() = %d, want %d", len(text), tt.body.Size(), tt.size)
			}
			if got := string(tt.body.Sample()); len(got) != len(text) || !strings.HasPrefix(got, tt.body.before) {
				t.Errorf("Sample() = %q", got)
			}
			var payload map[string]any
			if err := json.Unmarshal([]byte(text), &payload); err != nil {
				t.Fatal(err)
			}
			if id, _ := payload[tt.id].(string); !strings.HasSuffix(id, testID) {
				t.Errorf("%s = %q", tt.id, id)
			}
			if _, ok := payload["data"].(map[string]any); !ok && tt.id == "note_id" {
				t.Error("there is no object data, so it is not a note.generated")
			}
			if !strings.HasSuffix(text, testID+tt.body.after) || len(tt.body.after) > 4 {
				t.Error("the id is not what comes last")
			}
		})
	}
}

func TestTranscriptIsTheSame(t *testing.T) {
	t.Parallel()
	if a, b := transcript(500), transcript(500); a != b || len(a) != 500 {
		t.Errorf("%q and %q", a, b)
	}
	if strings.ContainsAny(transcript(5000), "\"\\\n\t") {
		t.Error("it needs escapes in JSON")
	}
}
