package pace

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxHold bounds the wait that a Retry-After can ask for.
const MaxHold = 24 * time.Hour

// RetryAfter returns the time in a Retry-After header, which has seconds or a date
// (RFC 9110, section 10.2.3), at most MaxHold from now. A header that is invalid, or
// is not in the future, yields the zero time.
func RetryAfter(header string, now time.Time) time.Time {
	wait, ok := retryDelay(strings.TrimSpace(header), now)
	if !ok || wait <= 0 {
		return time.Time{}
	}
	return now.Add(min(wait, MaxHold))
}

func retryDelay(header string, now time.Time) (time.Duration, bool) {
	if date, err := http.ParseTime(header); err == nil {
		return date.Sub(now), true
	}
	if header == "" || strings.Trim(header, "0123456789") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseInt(header, 10, 64)
	if err != nil || seconds > int64(MaxHold/time.Second) {
		return MaxHold, true // a number too large to read is a large one
	}
	return time.Duration(seconds) * time.Second, true
}
