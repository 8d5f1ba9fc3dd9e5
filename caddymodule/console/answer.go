package console

import "net/http"

// policy lets a page load only what the console itself serves, and nothing that is written
// into the page.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// setHeaders sets the headers that each answer has.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// With no-referrer, browsers send `Origin: null` with the console's own forms, which
	// over plain HTTP is all that shows where a form comes from.
	h.Set("Referrer-Policy", "same-origin")
}

// An answer records whether it has begun.
type answer struct {
	http.ResponseWriter
	begun bool
}

// Unwrap lets an http.ResponseController find what the server can do.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(p)
}
