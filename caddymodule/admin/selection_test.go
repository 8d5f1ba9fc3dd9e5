package admin

import (
	"encoding/json"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A request selects events in exactly one way.
func TestRequestState(t *testing.T) {
	t.Parallel()
	type stater interface{ State() (queue.State, bool) }
	for body, want := range map[string]struct {
		replay, purge queue.State
		canReplay     bool
		canPurge      bool
	}{
		`{}`:                                   {},
		`{"ids":[]}`:                           {},
		`{"ids":["a"]}`:                        {canReplay: true, canPurge: true},
		`{"dead":true}`:                        {queue.Dead, queue.Dead, true, true},
		`{"unrouted":true}`:                    {queue.Unrouted, queue.Unrouted, true, true},
		`{"unconfirmed":true}`:                 {queue.Unconfirmed, queue.Unconfirmed, true, true},
		`{"quarantined":true}`:                 {purge: queue.Quarantined, canPurge: true},
		`{"since":"1h"}`:                       {canReplay: true},
		`{"dead":true,"since":"1h"}`:           {purge: queue.Dead, canPurge: true},
		`{"dead":true,"unrouted":true}`:        {},
		`{"dead":true,"ids":["a"]}`:            {},
		`{"dead":true,"upstream":"ehr"}`:       {replay: queue.Dead, canReplay: true},
		`{"upstream":"ehr"}`:                   {canPurge: true},
		`{"ids":["a"],"upstream":"ehr"}`:       {canReplay: true},
		`{"dead":false,"unconfirmed":true}`:    {queue.Unconfirmed, queue.Unconfirmed, true, true},
		`{"dead":true,"before":"24h"}`:         {queue.Dead, queue.Dead, true, true},
		`{"dry_run":true,"force":true}`:        {},
		`{"quarantined":true,"unrouted":true}`: {replay: queue.Unrouted, canReplay: true},
	} {
		var replay ReplayRequest
		var purge PurgeRequest
		for _, into := range []any{&replay, &purge} {
			if err := json.Unmarshal([]byte(body), into); err != nil {
				t.Fatal(err)
			}
		}
		check := func(name string, s stater, state queue.State, ok bool) {
			if got, gotOK := s.State(); gotOK != ok || ok && got != state {
				t.Errorf("%s %s selects %q, %v, want %q, %v", name, body, got, gotOK, state, ok)
			}
		}
		check("replay", replay, want.replay, want.canReplay)
		check("purge", purge, want.purge, want.canPurge)
	}
}
