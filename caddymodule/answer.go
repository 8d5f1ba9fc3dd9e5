package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/scribegate/scribegate/verifier"
)

// retryAfter is what a provider is told when an event could not be stored, in
// seconds.
const retryAfter = "5"

// An answer is what the provider is told: the same for every cause within a
// status, so that a stranger learns nothing from it.
type answer struct {
	status int
	body   string
	reason verifier.Reason // for log and metrics only
}

const unauthorizedBody = `{"error":"unauthorized"}`

// answerFor turns the error of a rejected request into the answer.
func answerFor(err error) answer {
	if payload, ok := errors.AsType[*verifier.PayloadError](err); ok {
		text, _ := json.Marshal(map[string]string{"error": payload.Error()}) // strings always marshal
		return answer{http.StatusBadRequest, string(text), verifier.Payload}
	}
	rejection, ok := errors.AsType[*verifier.Rejection](err)
	if !ok {
		return answer{http.StatusServiceUnavailable, `{"error":"temporarily unavailable"}`, verifier.Unavailable}
	}
	switch reason := rejection.Reason; reason {
	case verifier.Method:
		return answer{http.StatusMethodNotAllowed, `{"error":"method not allowed"}`, reason}
	case verifier.Encoding:
		return answer{http.StatusUnsupportedMediaType, `{"error":"unsupported content encoding"}`, reason}
	case verifier.TooLarge:
		return answer{http.StatusRequestEntityTooLarge, `{"error":"body too large"}`, reason}
	case verifier.Incomplete:
		return answer{http.StatusRequestTimeout, `{"error":"request timeout"}`, reason}
	case verifier.Unavailable:
		return answer{http.StatusServiceUnavailable, `{"error":"temporarily unavailable"}`, reason}
	default:
		return answer{http.StatusUnauthorized, unauthorizedBody, reason}
	}
}

func (a answer) write(w http.ResponseWriter) {
	switch a.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", http.MethodPost)
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	}
	writeJSON(w, a.status, []byte(a.body))
}

// writeReceived answers 200: the event is on stable storage.
func writeReceived(w http.ResponseWriter, id string, duplicate bool) {
	body := make([]byte, 0, 128)
	body = append(body, `{"received":true,"id":`...)
	body, _ = jsontext.AppendQuote(body, id) // an id of another plugin's may hold anything
	if duplicate {
		body = append(body, `,"duplicate":true`...)
	}
	writeJSON(w, http.StatusOK, append(body, '}'))
}

// sendNow sends the answer that was written. A client on HTTP/1 has it whole then,
// since its length is declared, whatever Caddy does next, such as writing to an
// access log. In HTTP/2 and 3 an answer is whole only when the handlers return.
func sendNow(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).Flush() // a client that has gone needs no answer
	}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}
