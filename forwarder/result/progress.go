package result

import (
	"fmt"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// unknownFor is how long the API is asked for a transcription that it does not know, and
// for the transcript of one that it knows.
const unknownFor = 10 * time.Minute

// The reasons for which an event is set aside.
const (
	ReasonUnknown = "the provider does not know the transcription"
	ReasonStatus  = "the provider reports another status"
)

// LikelyCauses says why an event may be unconfirmed, for the log.
const LikelyCauses = "the API key belongs to another project or region than the transcription (check api_key and api_base), " +
	"the transcription was deleted, or the webhook is forged (change the secret of the header)"

// A progress is what is known of an event before its next attempt.
type progress struct {
	confirmed bool          // the API has confirmed the event
	asked     int           // attempts at which the API said something about the event
	elapsed   time.Duration // since the first of these began, up to the end of the newest attempt; waiting for api_rate left out
	away      int           // newest attempts in a row at which the API could not be asked
	word      string        // why the transcript is not there yet; "" before the first attempt to get it
}

// An answer is what the API said at an attempt.
type answer struct {
	confirm confirmation
	kind    rest.Kind // why the API could not be asked, or why the transcript is not there
	typ     string    // the error type that belongs to kind; may be empty
	failed  bool      // the transcript was asked for and is not there
	hold    time.Time // until when the API asks for no requests; zero if it does not
}

// A confirmation is what the API said about an event.
type confirmation int

const (
	notAsked    confirmation = iota // the API could not be asked
	unknown                         // it does not know the transcription
	otherStatus                     // it knows the transcription with another status
	confirmed
)

// A step is what happens to the event after an attempt.
type step struct {
	state       queue.State // Pending, Delivered or Unconfirmed
	wait        time.Duration
	unavailable string // of Delivered: why the transcript is missing, else ""
	reason      string // of Unconfirmed
	progress    progress
}

// after returns what happens after an attempt that began so long after the previous one
// ended, took so long, and ended now with an answer. timeout is the fetch_timeout.
func (p progress) after(gap, took time.Duration, a answer, timeout time.Duration, now time.Time) step {
	if a.confirm == notAsked && !p.confirmed {
		p.away++
		return step{state: queue.Pending, wait: max(awayWait(a.kind, p.away), a.hold.Sub(now)), progress: p}
	}
	if p.asked > 0 {
		p.elapsed += p.counted(gap)
	}
	p.elapsed += max(0, took)
	p.asked++
	p.away = 0

	limit, next := unknownFor, waitAfter(p.asked)
	switch {
	case a.confirm == unknown && !p.confirmed, a.confirm == otherStatus && !p.confirmed:
		if p.elapsed < limit {
			return step{state: queue.Pending, wait: min(next, limit-p.elapsed), progress: p}
		}
		reason := ReasonUnknown
		if a.confirm == otherStatus {
			reason = ReasonStatus
		}
		return step{state: queue.Unconfirmed, reason: reason, progress: p}
	case a.confirm == confirmed && !a.failed:
		p.confirmed = true
		return step{state: queue.Delivered, progress: p}
	}

	p.confirmed = true
	p.word = unavailable(a)
	if limit = timeout; p.word == wordGone {
		limit = min(unknownFor, timeout)
	}
	if p.elapsed >= limit {
		return step{state: queue.Delivered, unavailable: p.word, progress: p}
	}
	if hold := a.hold.Sub(now); hold > next {
		next = hold
	}
	return step{state: queue.Pending, wait: min(next, limit-p.elapsed), progress: p}
}

// counted returns how much of the time since the previous attempt counts: no more than
// it was to be, since the rest was waiting for api_rate, or the gateway did not run.
func (p progress) counted(gap time.Duration) time.Duration {
	return min(max(0, gap), waitAfter(p.asked))
}

// awayWait returns the wait of an event after n attempts in a row at which the API could
// not be asked.
func awayWait(kind rest.Kind, n int) time.Duration {
	wait := waitAfter(n)
	if kind == rest.RateLimited || kind == rest.InvalidAnswer { // these may be about this event alone
		return wait
	}
	return min(wait, maxAwayWait)
}

// The words for a transcript that is not there, beside the kinds of package rest.
const (
	wordGone       = "gone"
	wordNotReady   = "transcription_invalid_state"
	wordRateLimits = "limit_exceeded"
)

// unavailable returns why the transcript of a confirmed event is not there.
func unavailable(a answer) string {
	switch {
	case a.confirm == unknown, a.confirm == otherStatus, a.kind == rest.Unknown: // it was confirmed before
		return wordGone
	case a.kind == rest.NotReady:
		return or(a.typ, wordNotReady)
	case a.kind == rest.RateLimited:
		return or(a.typ, wordRateLimits)
	}
	return string(a.kind)
}

func or(word, otherwise string) string {
	if word == "" {
		return otherwise
	}
	return word
}

// note returns the progress as the note of an attempt.
func (p progress) note() string {
	phase := "asked"
	if p.confirmed {
		phase = "confirmed"
	}
	return strings.TrimSpace(fmt.Sprintf("%s %d %d %d %s", phase, p.asked, (p.elapsed + time.Millisecond - 1).Milliseconds(), p.away, p.word))
}

// progressOf returns the progress in the history of a completion.
func progressOf(d queue.Delivery) progress {
	var p progress
	last, ok := newest(d)
	if !ok {
		return p
	}
	var phase, word string
	var elapsed int64
	n, _ := fmt.Sscan(last.Note, &phase, &p.asked, &elapsed, &p.away, &word) // a note without a word has four
	if n < 4 {
		return progress{}
	}
	p.confirmed, p.elapsed, p.word = phase == "confirmed", time.Duration(elapsed)*time.Millisecond, word
	return p
}

// newest returns the newest attempt since the last replay.
func newest(d queue.Delivery) (queue.Attempt, bool) {
	if d.Attempts == 0 || len(d.History) == 0 {
		return queue.Attempt{}, false
	}
	return d.History[len(d.History)-1], true
}

// gap returns how long before now the newest attempt ended.
func gap(d queue.Delivery, now time.Time) time.Duration {
	last, ok := newest(d)
	if !ok {
		return 0
	}
	return now.Sub(last.At.Add(last.Duration))
}
