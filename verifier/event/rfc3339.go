package event

import "time"

// maxTimeLength bounds a provider's time, whose decimals RFC 3339 does not.
const maxTimeLength = 64

// FormatTime returns a time of the gateway's own in the form that events have: RFC
// 3339, in UTC, cut off after exactly three decimals.
func FormatTime(t time.Time) string {
	var room [len("2006-01-02T15:04:05.000Z")]byte
	return string(appendTime(room[:0], t))
}

// appendTime appends what FormatTime returns. Package time is fast with its own
// layout RFC3339, and not with any other, so the decimals are added here.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339)
	milli := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-len("Z")], '.', digit(milli/100), digit(milli/10), digit(milli), 'Z')
}

// digit returns the last digit of n.
func digit(n int) byte { return '0' + byte(n%10) }

// IsRFC3339 reports whether s is a date-time of RFC 3339, section 5.6, of at
// most 64 bytes, in the strict form that every parser accepts: an upper-case T
// and Z, two digits for the hour, a period before the decimals, an offset below
// 24:00, a day that exists and no leap second.
func IsRFC3339(s string) bool {
	const dateTime = "0000-00-00T00:00:00"
	if len(s) <= len(dateTime) || len(s) > maxTimeLength {
		return false
	}
	// package time is lenient about most of the form, so that is checked here
	// and only the calendar is left to it.
	if !hasForm(s[:len(dateTime)], dateTime) {
		return false
	}
	rest := s[len(dateTime):]
	if rest[0] == '.' {
		digits := 1
		for digits < len(rest) && isDigit(rest[digits]) {
			digits++
		}
		if digits == 1 {
			return false
		}
		rest = rest[digits:]
	}
	if rest != "Z" {
		if !hasForm(rest, "+00:00") && !hasForm(rest, "-00:00") {
			return false
		}
		if rest[1:3] > "23" || rest[4:6] > "59" {
			return false
		}
	}
	_, err := time.Parse(time.RFC3339, s[:len(dateTime)]+"Z")
	return err == nil
}

// hasForm reports whether s is form with any digit where form has a zero.
func hasForm(s, form string) bool {
	if len(s) != len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == '0' {
			if !isDigit(s[i]) {
				return false
			}
		} else if s[i] != form[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
