package wording

import (
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestMeaning(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		outcome queue.Result
		status  int
		unused  bool
		want    string
	}{
		{queue.Success, 204, false, "accepted"},
		{queue.Gone, 410, false, "gone: dead at once"},
		{queue.Timeout, 0, false, "no answer in time"},
		{queue.ConnectError, 0, true, "no connection: does not count"},
		{queue.ConnectError, 0, false, "no connection: see the log"},
		{queue.Failure, 0, false, "no answer: see the log"},
		{queue.Failure, 0, true, "no answer: does not count"},
		{queue.Failure, 302, false, "a redirect: not followed"},
		{queue.Failure, 422, false, "refused: Unprocessable Entity"},
		{queue.Failure, 429, true, "too many requests: does not count"},
		{queue.Failure, 499, false, "refused"},
		{queue.Failure, 503, false, "the backend failed: Service Unavailable"},
		{queue.Failure, 599, false, "the backend failed"},
	} {
		if got := Meaning(admin.Attempt{Outcome: tt.outcome, Status: tt.status, Unused: tt.unused}); got != tt.want {
			t.Errorf("%s %d, unused %v, means %q, want %q", tt.outcome, tt.status, tt.unused, got, tt.want)
		}
	}
}

func TestTried(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]admin.Course{
		"0 attempts":                       {},
		"1 attempt":                        {Attempts: 1},
		"6 attempts":                       {Attempts: 6},
		"1 attempt, which does not count":  {Attempts: 1, Unused: 1},
		"6 attempts, none of which counts": {Attempts: 6, Unused: 6},
		"1,200 attempts, 2 of which count": {Attempts: 1200, Unused: 1198},
	} {
		if got := Tried(d); got != want {
			t.Errorf("%+v was tried by %q, want %q", d, got, want)
		}
	}
}
