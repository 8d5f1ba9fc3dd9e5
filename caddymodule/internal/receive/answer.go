package receive

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/scribegate/scribegate/verifier"
)

// retryAfter is the value of Retry-After when an event could not be stored, in seconds.
const retryAfter = "5"

// An Answer is the answer to a rejected request. It is the same for all reasons of a
// status, so that a stranger learns nothing from it.
type Answer struct {
	status int
	body   string
	Reason verifier.Reason // for logs and metrics only
}

const unauthorizedBody = `{"error":"unauthorized"}`

// AnswerTo returns the answer to a request that was rejected with an error.
func AnswerTo(err error) Answer {
	if payload, ok := errors.AsType[*verifier.PayloadError](err); ok {
		text, _ := json.Marshal(map[string]string{"error": payload.Error()}) // strings always marshal
		return Answer{http.StatusBadRequest, string(text), verifier.Payload}
	}
	rejection, ok := errors.AsType[*verifier.Rejection](err)
	if !ok {
		return Answer{http.StatusServiceUnavailable, `{"error":"temporarily unavailable"}`, verifier.Unavailable}
	}
	switch reason := rejection.Reason; reason {
	case verifier.Method:
		return Answer{http.StatusMethodNotAllowed, `{"error":"method not allowed"}`, reason}
	case verifier.Encoding:
		return Answer{http.StatusUnsupportedMediaType, `{"error":"unsupported content encoding"}`, reason}
	case verifier.TooLarge:
		return Answer{http.StatusRequestEntityTooLarge, `{"error":"body too large"}`, reason}
	case verifier.Incomplete:
		return Answer{http.StatusRequestTimeout, `{"error":"request timeout"}`, reason}
	case verifier.Unavailable:
		return Answer{http.StatusServiceUnavailable, `{"error":"temporarily unavailable"}`, reason}
	default:
		return Answer{http.StatusUnauthorized, unauthorizedBody, reason}
	}
}

// Write writes the answer.
func (a Answer) Write(w http.ResponseWriter) {
	switch a.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	}
	WriteJSON(w, a.status, []byte(a.body))
}

// WriteReceived answers 200. The event must be on stable storage.
func WriteReceived(w http.ResponseWriter, id string, duplicate bool) {
	body := make([]byte, 0, 128)
	body = append(body, `{"received":true,"id":`...)
	body, _ = jsontext.AppendQuote(body, id) // an id of another plugin may contain any character
	if duplicate {
		body = append(body, `,"duplicate":true`...)
	}
	WriteJSON(w, http.StatusOK, append(body, '}'))
}

// Flush sends the answer that was written. A client on HTTP/1 has received it completely
// then, since its length is declared, whatever the server does next, such as writing to an
// access log. In HTTP/2 and 3 an answer is complete only when the handlers return.
func Flush(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).Flush() // a client that has gone needs no answer
	}
}

// WriteJSON writes an answer in JSON.
func WriteJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}
