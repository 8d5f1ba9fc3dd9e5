package forwarder

import (
	"strings"
	"testing"
)

func TestFilterMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		filter Filter
		typ    string
		want   bool
	}{
		{"default, a note", nil, "note.generated", true},
		{"default, one added later", nil, "note.amended", true},
		{"default, unnameable", nil, "other", true},
		{"default, test", nil, "test", false},
		{"empty list, test", Filter{}, "test", false},
		{"all, test", Filter{"*"}, "test", true},
		{"all, a note", Filter{"*"}, "note.failed", true},
		{"all among others", Filter{"note.failed", "*"}, "test", true},
		{"test named, test", Filter{"test"}, "test", true},
		{"test named, a note", Filter{"test"}, "note.generated", false},
		{"named", Filter{"note.generated", "transcription.completed"}, "transcription.completed", true},
		{"not named", Filter{"note.generated", "transcription.completed"}, "transcription.error", false},
		{"beginning named", Filter{"note"}, "note.generated", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.filter.Match(tt.typ); got != tt.want {
				t.Errorf("Match(%q) = %v, want %v", tt.typ, got, tt.want)
			}
		})
	}
}

func TestFilterValidate(t *testing.T) {
	t.Parallel()
	for _, f := range []Filter{
		nil, {}, {"*"}, {"note.generated", "*"}, {"note.amended"}, {"note.genrated"}, {"Note_Generated-2"}, {strings.Repeat("a", 64)},
	} {
		if err := f.Validate(); err != nil {
			t.Errorf("%q: %v", f, err)
		}
	}
	for word, says := range map[string]string{
		"":                           "a type is empty",
		"note.*":                     `"note.*" cannot be an event type: patterns are not supported; write each type`,
		"**":                         `"**" cannot be an event type: patterns`,
		"note.generated,note.failed": `"note.generated,note.failed" cannot be an event type: separate types with spaces`,
		"note.generated note.failed": "separate types with spaces",
		"{env.EVT}":                  `"{env.EVT}" cannot be an event type: placeholders are not replaced here`,
		"note/generated":             "a word that cannot be an event type: a type has 1 to 64 letters",
		"note:generated":             `"note:generated" cannot be an event type: a type has 1 to 64 letters`,
		"nöte":                       "a word that cannot be an event type: a type has 1 to 64 letters",
		strings.Repeat("a", 65):      "a type has 1 to 64 letters",
		"whsec_SECRETsecret+/=":      "a word that cannot be an event type: a type has 1 to 64 letters",
	} {
		err := Filter{"note.failed", word}.Validate()
		if err == nil || !strings.HasPrefix(err.Error(), says) && !strings.Contains(err.Error(), ": "+says) {
			t.Errorf("%q: error %v, want %s", word, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("the error quotes what may be a secret: %v", err)
		}
	}
}
