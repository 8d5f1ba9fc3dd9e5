package event_test

import (
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

func TestIsRFC3339(t *testing.T) {
	t.Parallel()
	tests := []struct {
		s    string
		want bool
	}{
		{"2026-03-19T15:30:00.000Z", true},
		{"2026-03-19T15:30:00Z", true},
		{"2026-03-19T15:30:00+02:00", true},
		{"2026-03-19T15:30:00.1-23:59", true},
		{"2026-03-19T15:30:00.123456789012Z", true},
		{"2024-02-29T00:00:00Z", true},
		{"0000-01-01T00:00:00Z", true},
		{"9999-12-31T23:59:59Z", true},
		{"2026-03-19T15:30:00." + strings.Repeat("0", 43) + "Z", true}, // 64 bytes
		{"2026-03-19T15:30:00." + strings.Repeat("0", 44) + "Z", false},
		{"", false},
		{"now", false},
		{"2026-03-19", false},
		{"2026-03-19T15:30:00", false},
		{"2026-03-19 15:30:00Z", false},
		{"2026-03-19t15:30:00Z", false},
		{"2026-03-19T15:30:00z", false},
		{"2026-03-19T15:30Z", false},
		{"2026-03-19T5:30:00Z", false},
		{"2026-03-19T15:30:00,5Z", false},
		{"2026-03-19T15:30:00.Z", false},
		{"2026-03-19T15:30:00.5", false},
		{"2026-03-19T15:30:00+0200", false},
		{"2026-03-19T15:30:00+02", false},
		{"2026-03-19T15:30:00+24:00", false},
		{"2026-03-19T15:30:00+02:60", false},
		{"2026-03-19T15:30:00*02:00", false},
		{"2026-03-19T15:30:00Z ", false},
		{" 2026-03-19T15:30:00Z", false},
		{"2026-03-19T15:30:00ZZ", false},
		{"2026-02-29T00:00:00Z", false},
		{"2026-13-01T00:00:00Z", false},
		{"2026-00-01T00:00:00Z", false},
		{"2026-01-00T00:00:00Z", false},
		{"2026-04-31T00:00:00Z", false},
		{"2026-03-19T24:00:00Z", false},
		{"2026-03-19T23:60:00Z", false},
		{"2016-12-31T23:59:60Z", false},
		{"12026-03-19T15:30:00Z", false},
		{"-026-03-19T15:30:00Z", false},
		{"２026-03-19T15:30:00Z", false},
		{"1773934200", false},
	}
	for _, tt := range tests {
		if got := event.IsRFC3339(tt.s); got != tt.want {
			t.Errorf("IsRFC3339(%q) = %t, want %t", tt.s, got, tt.want)
		}
	}
}

// Whatever is taken must be readable by those who read the event.
func FuzzIsRFC3339(f *testing.F) {
	f.Add("2026-03-19T15:30:00.000Z")
	f.Add("2026-03-19T15:30:00+02:00")
	f.Fuzz(func(t *testing.T, s string) {
		if !event.IsRFC3339(s) {
			return
		}
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			t.Errorf("package time refuses %q: %v", s, err)
		}
	})
}

func TestFormatTime(t *testing.T) {
	t.Parallel()
	got := event.FormatTime(time.Date(2026, 3, 19, 1, 30, 0, 999_999_999, time.FixedZone("", 2*3600)))
	if want := "2026-03-18T23:30:00.999Z"; got != want {
		t.Errorf("FormatTime = %q, want %q", got, want)
	}
}
