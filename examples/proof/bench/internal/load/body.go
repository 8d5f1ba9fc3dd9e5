package load

import (
	"math/rand/v2"
	"strings"
)

// idLength is the number of characters of a request's id.
const idLength = 16

// The parts of a note's payload. The id is the last member, so that everything before it is
// the same in every request and is hashed only once.
const (
	noteHead   = `{"event":"note.generated","status":"completed","created_at":"2026-03-19T15:30:00.000Z","data":{`
	noteData   = `"expires_at":"2036-03-20T15:30:00.000Z","billing_codes":{"icd10":[{"code":"J06.9"}],"cpt":[{"code":"99213"}]},"transcript":"`
	noteTail   = `"},"note_id":"`
	noteSparse = `},"note_id":"`
	noteEnd    = `"}`
)

// A body is a payload in two parts, with the id between them.
type body struct {
	before, after string
}

// Size returns the size of the whole payload in bytes.
func (b body) Size() int { return len(b.before) + idLength + len(b.after) }

// Sample returns a whole payload.
func (b body) Sample() []byte {
	return []byte(b.before + strings.Repeat("0", idLength) + b.after)
}

// NoteBody returns SOAPNoteAPI's payload for a finished note, with size bytes, or at least 126.
func NoteBody(size int) body {
	full := noteHead + noteData
	if filler := size - len(full) - len(noteTail) - idLength - len(noteEnd); filler >= 0 {
		return body{before: full + transcript(filler) + noteTail, after: noteEnd}
	}
	return body{before: noteHead + noteSparse, after: noteEnd}
}

// TranscriptionBody returns Soniox's payload for a finished transcription.
func TranscriptionBody() body {
	return body{before: `{"status":"completed","id":"73d4357d-cad2-4338-`, after: noteEnd}
}

var words = strings.Fields(`patient reports mild headache since Tuesday denies fever chills nausea or vomiting
	blood pressure 128 over 82 heart rate 76 regular lungs clear to auscultation bilaterally abdomen soft
	non-tender plan continue lisinopril 10 mg daily follow up in two weeks return sooner if symptoms worsen
	assessment essential hypertension well controlled discussed diet exercise sodium intake sleep hygiene`)

// transcript returns synthetic text that compresses like notes. It is the same every time.
func transcript(size int) string {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	var text strings.Builder
	text.Grow(size + 16)
	for text.Len() < size {
		text.WriteString(words[random.IntN(len(words))])
		text.WriteByte(' ')
	}
	return text.String()[:size]
}
