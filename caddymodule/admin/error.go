package admin

import (
	"fmt"
	"net/http"
)

// An Error is an error that the admin API answers with a status of its own.
type Error struct {
	Status int
	Text   string
}

func (e Error) Error() string { return e.Text }

// BadRequest returns an Error with the status 400.
func BadRequest(format string, args ...any) error {
	return Error{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// An ErrorBody is the answer to a request that fails.
type ErrorBody struct {
	Error string `json:"error"`
}
