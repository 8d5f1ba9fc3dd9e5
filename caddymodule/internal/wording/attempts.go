package wording

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Tried returns in words how many attempts at a delivery were made, and how many of
// them count.
func Tried(d admin.Course) string {
	all := Counted(d.Attempts, "attempt")
	switch {
	case d.Unused == 0:
		return all
	case d.Unused < d.Attempts:
		return fmt.Sprintf("%s, %d of which count", all, d.Attempts-d.Unused)
	case d.Attempts == 1:
		return all + ", which does not count"
	}
	return all + ", none of which counts"
}

// Meaning returns the outcome of an attempt in words, and its consequence.
func Meaning(a admin.Attempt) string {
	words := outcomeOf(a)
	if a.Unused {
		words, _, _ = strings.Cut(words, ":")
		words += ": does not count"
	}
	return words
}

// StageMeaning returns the outcome of a request to a provider's API in words.
func StageMeaning(a admin.Attempt) string {
	switch a.Status {
	case http.StatusOK, http.StatusNoContent:
		if a.Outcome != queue.Success {
			return "the answer was not the expected one"
		}
	case http.StatusBadRequest, http.StatusNotFound:
		return "the provider does not know it"
	case http.StatusUnauthorized, http.StatusForbidden:
		return "the key was refused: check api_key and api_base"
	case http.StatusPaymentRequired:
		return "the account has no quota left"
	case http.StatusConflict:
		return "not ready"
	case http.StatusTooManyRequests:
		return "too many requests"
	}
	switch {
	case a.Outcome == queue.Success:
		return "done"
	case a.Outcome == queue.Failure && a.Status >= 500:
		return strings.TrimSuffix("the API failed: "+http.StatusText(a.Status), ": ")
	}
	return outcomeOf(a)
}

// outcomeOf returns the outcome of an attempt in words.
func outcomeOf(a admin.Attempt) string {
	switch a.Outcome {
	case queue.Success:
		return "accepted"
	case queue.Gone:
		return "gone: dead at once"
	case queue.Timeout:
		return "no answer in time"
	case queue.ConnectError:
		return "no connection: see the log"
	default:
		return failureOf(a.Status)
	}
}

// failureOf returns a failure with a status in words.
func failureOf(status int) string {
	word := http.StatusText(status)
	switch {
	case status == 0:
		return "no answer: see the log"
	case status == http.StatusTooManyRequests:
		return "too many requests"
	case status >= 300 && status < 400:
		return "a redirect: not followed"
	case status >= 500:
		return strings.TrimSuffix("the backend failed: "+word, ": ")
	}
	return strings.TrimSuffix("refused: "+word, ": ")
}

// PauseLeft returns in words when a pause ends, or "" if there is no pause or its end is
// not known.
func PauseLeft(u admin.UpstreamStatus, now time.Time) string {
	switch {
	case !u.Paused || u.PausedUntil == nil:
		return ""
	case u.PauseReason == forwarder.Failures:
		return "probe " + Until(u.PausedUntil, now)
	}
	return "for " + Age(u.PausedUntil.Sub(now)) + ", as requested"
}

// WhyNone returns why an event has no deliveries, or "" if it has some or is
// quarantined.
func WhyNone(e admin.Event) string {
	switch {
	case len(e.Deliveries) > 0 || e.State == queue.Quarantined:
		return ""
	case e.State == queue.Unrouted:
		return "none: no upstream accepted its type; " + admin.RouteHint
	case e.State == queue.Unconfirmed:
		return "none: its provider does not know it"
	case e.Type == event.Test:
		return "none: a test event goes only to upstreams whose `events` name `test` or `*`"
	}
	return "none: its handler drops this type"
}

// UnreadableHint is the advice on events that cannot be read.
const UnreadableHint = "the queue's file is damaged: see the log for the place, check the disk, and see Damage in the documentation"
