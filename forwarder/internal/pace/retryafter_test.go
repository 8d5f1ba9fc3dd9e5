package pace

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, time.March, 19, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, header string
		want         time.Duration // 0 is no time at all
	}{
		{"none", "", 0},
		{"seconds", "120", 2 * time.Minute},
		{"seconds with spaces", " 120 ", 2 * time.Minute},
		{"no seconds", "0", 0},
		{"a day", "86400", 24 * time.Hour},
		{"more than a day", "86401", 24 * time.Hour},
		{"more than a number holds", strings.Repeat("9", 40), 24 * time.Hour},
		{"negative", "-5", 0},
		{"signed", "+5", 0},
		{"fraction", "1.5", 0},
		{"unit", "5s", 0},
		{"word", "later", 0},
		{"date", noon.Add(time.Hour).Format(http.TimeFormat), time.Hour},
		{"date in RFC 850", noon.Add(time.Hour).Format("Monday, 02-Jan-06 15:04:05 GMT"), time.Hour},
		{"date that is now", noon.Format(http.TimeFormat), 0},
		{"date in the past", noon.Add(-time.Hour).Format(http.TimeFormat), 0},
		{"date far in the future", noon.AddDate(70, 0, 0).Format(http.TimeFormat), 24 * time.Hour},
		{"date of another form", noon.Add(time.Hour).Format(time.RFC3339), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var want time.Time
			if tt.want > 0 {
				want = noon.Add(tt.want)
			}
			if got := RetryAfter(tt.header, noon); !got.Equal(want) {
				t.Errorf("RetryAfter(%q) = %v, want %v", tt.header, got, want)
			}
		})
	}
}

// Whatever an upstream sends, it is left alone for no time at all or for one that
// lies ahead and is at most a day.
func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"", "0", "1", "86401", "-1", "99999999999999999999", "Thu, 19 Mar 2026 13:00:00 GMT", "Thu, 01 Jan 9999 00:00:00 GMT"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := RetryAfter(header, noon)
		if got.IsZero() {
			return
		}
		if !got.After(noon) || got.After(noon.Add(MaxHold)) {
			t.Errorf("RetryAfter(%q) = %v", header, got)
		}
	})
}
