package standin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

type transcript struct {
	ID     string  `json:"id"`
	Text   string  `json:"text"`
	Tokens []token `json:"tokens"`
}

type token struct {
	Text              string  `json:"text"`
	StartMS           *int    `json:"start_ms"`
	EndMS             *int    `json:"end_ms"`
	Confidence        float64 `json:"confidence"`
	Speaker           string  `json:"speaker"`
	Language          string  `json:"language"`
	SourceLanguage    string  `json:"source_language"`
	TranslationStatus string  `json:"translation_status"`
}

// TestTranscript checks the transcripts that the stand-in makes up.
func TestTranscript(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		members    string
		language   string
		speaker    string
		translated bool
	}{
		"plain":      {``, "", "", false},
		"speakers":   {`,"enable_speaker_diarization":true`, "", "1", false},
		"languages":  {`,"enable_language_identification":true`, "en", "", false},
		"translated": {`,"translation":{"type":"one_way","target_language":"es"}`, "en", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, url := start(t, standin.Options{})
			created := create(t, url, audio+tt.members)
			eventually(t, func() bool { return get(t, url, created.ID).Status == standin.Completed })
			status, body := call(t, "GET", url+"/v1/transcriptions/"+created.ID+"/transcript", readKey, "")
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			got := decode[transcript](t, body)
			var original strings.Builder
			last, translations := 0, 0
			for _, one := range got.Tokens {
				if one.TranslationStatus == "translation" {
					translations++
					if one.StartMS != nil || one.EndMS != nil || one.Language != "es" || one.SourceLanguage != "en" {
						t.Errorf("translated token %+v", one)
					}
					continue
				}
				original.WriteString(one.Text)
				if one.StartMS == nil || *one.StartMS < last || *one.EndMS <= *one.StartMS {
					t.Fatalf("token %+v after %d ms", one, last)
				}
				last = *one.EndMS
				if one.Speaker != tt.speaker || one.Language != tt.language {
					t.Errorf("token %+v, want the speaker %q and the language %q", one, tt.speaker, tt.language)
				}
			}
			if got.ID != created.ID || got.Text == "" || got.Text != original.String() || (translations > 0) != tt.translated {
				t.Errorf("transcript %+v", got)
			}
			if duration := *get(t, url, created.ID).AudioDurationMS; duration < last {
				t.Errorf("the audio ends at %d ms, and a token at %d ms", duration, last)
			}
		})
	}
}

// TestOwnTranscript checks that a given transcript is answered byte for byte, a huge one too.
func TestOwnTranscript(t *testing.T) {
	t.Parallel()
	const size = 10 << 20
	huge := standin.HugeTranscript(id, size)
	if len(huge) < size || len(huge) > size+1000 || !json.Valid(huge) {
		t.Fatalf("%d bytes, want about %d of JSON", len(huge), size)
	}
	for name, own := range map[string]string{"odd spelling": " {\"tokens\" : [ ],\"id\":\"\\u0031\"}\n", "huge": string(huge)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{})
			s.AddTranscription(standin.Transcription{ID: id, Transcript: []byte(own)})
			status, body := call(t, "GET", url+"/v1/transcriptions/"+id+"/transcript", readKey, "")
			if status != http.StatusOK || string(body) != own {
				t.Errorf("%d, and %d bytes that are not those given", status, len(body))
			}
		})
	}
}
