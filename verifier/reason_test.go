package verifier_test

import (
	"slices"
	"testing"

	"github.com/scribegate/scribegate/verifier"
)

// The names stand in dashboards and alerts.
func TestReasons(t *testing.T) {
	t.Parallel()
	want := []verifier.Reason{
		"auth_mismatch", "auth_missing", "encoding", "header_repeated", "incomplete", "method", "payload",
		"signature_malformed", "signature_mismatch", "signature_missing",
		"timestamp_future", "timestamp_malformed", "timestamp_missing", "timestamp_stale",
		"too_large", "unavailable",
	}
	got := slices.Sorted(slices.Values(verifier.Reasons))
	if !slices.Equal(got, want) {
		t.Errorf("reasons are %q, want %q", got, want)
	}
}
