package rest

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Kind is why a request to the API failed. The set is closed, and the kinds are
// words in the metric and in events.
type Kind string

// The kinds of errors.
const (
	Unknown       Kind = "unknown"        // the API does not know the id: 404, or 400 for its form
	NotReady      Kind = "not_ready"      // 409: the state of the object does not allow the request yet
	Unauthorized  Kind = "unauthorized"   // 401, 403, or there is no key
	Quota         Kind = "quota"          // 402: a budget or a balance is used up
	RateLimited   Kind = "rate_limited"   // 429
	Unreachable   Kind = "unreachable"    // no connection, or 5xx
	Timeout       Kind = "timeout"        // no progress for 30 s
	InvalidAnswer Kind = "invalid_answer" // not what the API documents: redirected, cut off, too large, wrong JSON
)

// Kinds lists all kinds.
var Kinds = []Kind{Unknown, NotReady, Unauthorized, Quota, RateLimited, Unreachable, Timeout, InvalidAnswer}

// An Error is the failure of a request. Its text is an instruction, and has neither
// the key nor an id nor anything that the API sent but its status.
type Error struct {
	Kind       Kind
	Status     int       // of the answer; 0 if there was none
	Type       string    // the error_type of the answer, a word; may be empty
	RetryAfter time.Time // until when the API asks for no requests; zero if it does not

	request string // the method and the URL, with {id} for the id
	what    string // what happened
	hint    string // what to do
	cause   error  // may be nil
}

// Error returns what failed and what to do.
func (e *Error) Error() string {
	text := e.request + ": " + e.what
	if e.hint != "" {
		text += ": " + e.hint
	}
	return text
}

// NewError returns an Error that no single answer shows.
func NewError(k Kind, request, what string) *Error {
	return &Error{Kind: k, request: request, what: what}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of an error of a Client, or "" for any other error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return ""
}

// The instructions.
const (
	hintKey   = "check that api_key is valid and that it belongs to the project and to the region of api_base"
	hintRead  = hintKey + "; use the key of a project, since an organization's cannot read"
	hintWrite = "use an api_key that may write, since a read key cannot delete"
	hintQuota = "raise the budget or the balance of the account"
	hintRate  = "lower api_rate, or delete transcriptions and files if the account has reached its limits"
	hintBase  = "check api_base"
	hintAway  = "check api_base and the network if this lasts"
)

// quotas has the meaning of each error_type of a 402.
var quotas = map[string]string{
	"organization_balance_exhausted":        "the balance of the organization is used up",
	"organization_monthly_budget_exhausted": "the monthly budget of the organization is used up",
	"project_monthly_budget_exhausted":      "the monthly budget of the project is used up",
}

// statusError returns the error for an answer that is not a success. about says that
// the request names an object, so that a 404 is about this object.
func statusError(status int, errorType string, about, write bool) *Error {
	e := &Error{Status: status, Type: errorType, what: fmt.Sprintf("answered %d", status)}
	switch {
	case about && (status == http.StatusNotFound || status == http.StatusBadRequest):
		e.Kind, e.what = Unknown, fmt.Sprintf("answered %d, the id is not known", status)
		e.hint = "check that api_key belongs to the project and to the region in which it was created"
	case status == http.StatusConflict:
		e.Kind, e.hint = NotReady, "its state does not allow the request yet"
	case status == http.StatusForbidden && write:
		e.Kind, e.hint = Unauthorized, hintWrite
	case status == http.StatusForbidden:
		e.Kind, e.hint = Unauthorized, hintRead
	case status == http.StatusUnauthorized:
		e.Kind, e.hint = Unauthorized, hintKey
	case status == http.StatusPaymentRequired:
		e.Kind, e.hint = Quota, hintQuota
		if what := quotas[errorType]; what != "" {
			e.what += ", " + what
		}
	case status == http.StatusTooManyRequests:
		e.Kind, e.hint = RateLimited, hintRate
	case status == http.StatusRequestTimeout:
		e.Kind, e.hint = Timeout, hintAway
	case status >= 500:
		e.Kind, e.hint = Unreachable, hintAway
	case status >= 300 && status < 400:
		e.Kind, e.what, e.hint = InvalidAnswer, fmt.Sprintf("answered %d, a redirect, which is not followed", status), hintBase
	default:
		e.Kind, e.hint = InvalidAnswer, hintBase
	}
	return e
}
