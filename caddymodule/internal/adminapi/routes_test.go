package adminapi

import (
	"slices"
	"strings"
	"testing"
)

// The API has these routes with these parameters, and no others.
func TestRoutes(t *testing.T) {
	t.Parallel()
	var got []string
	for _, rt := range new(API).routes() {
		got = append(got, strings.Join(append([]string{rt.Method, rt.Path}, rt.Parameters...), " "))
	}
	want := []string{
		"GET health/live", "GET health/ready", "GET status", "GET events state upstream subject type since history limit cursor",
		"GET events/{id}", "GET events/{id}/payload", "POST replay", "POST purge", "POST compact", "POST backup", "POST recover", "GET audit", "POST audit/verify",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the routes are %q, want %q", got, want)
	}
}
