package forwarder

import "testing"

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
