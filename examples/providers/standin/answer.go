package standin

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// An answer is an answer of an API: JSON, or nothing.
type answer struct {
	status int
	body   []byte
}

func (a answer) write(w http.ResponseWriter) {
	a.writeHeader(w)
	_, _ = w.Write(a.body) // a client that went away does not need it
}

func (a answer) writeHeader(w http.ResponseWriter) {
	if a.body != nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	w.WriteHeader(a.status)
}

func jsonAnswer(status int, v any) answer { return answer{status: status, body: encode(v)} }

// encode returns the JSON of a value of this package, for which it cannot fail.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// A validationError is a reason why Soniox does not accept a request.
type validationError struct {
	ErrorType string `json:"error_type"`
	Location  string `json:"location"`
	Message   string `json:"message"`
}

// sonioxError returns an error of Soniox.
func sonioxError(status int, errorType, message string, invalid ...validationError) answer {
	if invalid == nil {
		invalid = []validationError{}
	}
	return jsonAnswer(status, struct {
		StatusCode       int               `json:"status_code"`
		ErrorType        string            `json:"error_type"`
		Message          string            `json:"message"`
		ValidationErrors []validationError `json:"validation_errors"`
		RequestID        string            `json:"request_id"`
		MoreInfo         string            `json:"more_info"`
	}{
		status, errorType, message, invalid, uuid.NewString(),
		"https://soniox.com/docs/api-reference/errors#" + strings.ReplaceAll(errorType, "_", "-"),
	})
}

func invalidRequest(invalid ...validationError) answer {
	return sonioxError(http.StatusBadRequest, "invalid_request", "The request is not valid. See validation_errors.", invalid...)
}

func limitExceeded(message string) answer {
	return sonioxError(http.StatusTooManyRequests, "limit_exceeded", message)
}

// noteError returns an error of SOAPNoteAPI.
func noteError(status int, code, message string) answer {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	return jsonAnswer(status, struct {
		Error detail `json:"error"`
	}{detail{code, message}})
}

// failure returns the error that the provider of a route has for a status. errorType is
// optional.
func failure(route Route, status int, errorType string) answer {
	const message = "The stand-in was set to answer this."
	if route.soapnote() {
		return noteError(status, cmp.Or(errorType, noteCodes[status], "ERROR"), message)
	}
	return sonioxError(status, cmp.Or(errorType, sonioxTypes[status], "error"), message)
}

var (
	sonioxTypes = map[int]string{
		http.StatusBadRequest:          "invalid_request",
		http.StatusUnauthorized:        "unauthenticated",
		http.StatusPaymentRequired:     "organization_balance_exhausted",
		http.StatusForbidden:           "permission_denied",
		http.StatusNotFound:            "transcription_not_found",
		http.StatusConflict:            "transcription_invalid_state",
		http.StatusTooManyRequests:     "limit_exceeded",
		http.StatusInternalServerError: "internal_error",
		http.StatusServiceUnavailable:  "service_unavailable",
	}
	noteCodes = map[int]string{
		http.StatusUnauthorized:        "UNAUTHORIZED",
		http.StatusNotFound:            "NOT_FOUND",
		http.StatusTooManyRequests:     "RATE_LIMITED",
		http.StatusInternalServerError: "INTERNAL_ERROR",
	}
)
