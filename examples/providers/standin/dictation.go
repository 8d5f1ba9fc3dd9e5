package standin

import "strings"

// The dictation of every transcription that has no Transcript of its own.
var dictation = []string{
	"Patient", "presents", "with", "a", "three-day", "history", "of", "dry", "cough.",
	"No", "fever.", "Lungs", "are", "clear.",
	"Plan:", "rest,", "fluids,", "review", "in", "one", "week.",
}

const (
	tokenMS     = 400 // the length of a token; a tenth of it is silence
	dictationMS = 21 * tokenMS
)

type token struct {
	Text              string  `json:"text"`
	StartMS           *int    `json:"start_ms,omitempty"`
	EndMS             *int    `json:"end_ms,omitempty"`
	Confidence        float64 `json:"confidence"`
	Speaker           string  `json:"speaker,omitempty"`
	Language          string  `json:"language,omitempty"`
	SourceLanguage    string  `json:"source_language,omitempty"`
	TranslationStatus string  `json:"translation_status,omitempty"`
}

// dictation returns the transcript of the dictation. The tokens of a translation have no
// times, and their words are those of the original.
func (t *Transcription) dictation() []byte {
	var tokens []token
	for i, word := range dictation {
		start, end := i*tokenMS, (i+1)*tokenMS-tokenMS/10
		one := token{Text: separated(i, word), StartMS: &start, EndMS: &end, Confidence: 0.97}
		if t.SpeakerDiarization {
			one.Speaker = "1"
		}
		if t.LanguageIdentification || t.TranslateTo != "" {
			one.Language = "en"
		}
		if t.TranslateTo != "" {
			one.TranslationStatus = "original"
		}
		tokens = append(tokens, one)
	}
	if t.TranslateTo != "" {
		for _, original := range tokens[:len(dictation):len(dictation)] {
			original.StartMS, original.EndMS = nil, nil
			original.Language, original.SourceLanguage, original.TranslationStatus = t.TranslateTo, "en", "translation"
			tokens = append(tokens, original)
		}
	}
	return transcript(t.ID, strings.Join(dictation, " "), tokens)
}

// HugeTranscript returns a transcript of about that many bytes, and not fewer, as of hours
// of audio.
func HugeTranscript(id string, size int) []byte {
	var text strings.Builder
	var tokens []token
	for i, bytes := 0, 0; bytes < size; i++ {
		start, end := i*tokenMS, (i+1)*tokenMS-tokenMS/10
		one := token{Text: separated(i, dictation[i%len(dictation)]), StartMS: &start, EndMS: &end, Confidence: 0.97, Speaker: "1", Language: "en"}
		tokens = append(tokens, one)
		text.WriteString(one.Text)
		bytes += len(encode(one)) + len(",") + len(one.Text)
	}
	return transcript(id, text.String(), tokens)
}

func separated(i int, word string) string {
	if i == 0 {
		return word
	}
	return " " + word
}

func transcript(id, text string, tokens []token) []byte {
	return encode(struct {
		ID     string  `json:"id"`
		Text   string  `json:"text"`
		Tokens []token `json:"tokens"`
	}{id, text, tokens})
}
