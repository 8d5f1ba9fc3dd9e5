package result

import (
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

var noon = time.Date(2026, time.March, 19, 12, 0, 0, 0, time.UTC)

// What happens to an event is decided by what is known, the time and the answer.
func TestProgress(t *testing.T) {
	t.Parallel()
	const hour = time.Hour
	asked := func(n int, elapsed time.Duration) progress { return progress{asked: n, elapsed: elapsed} }
	known := func(n int, elapsed time.Duration) progress {
		return progress{confirmed: true, asked: n, elapsed: elapsed, word: "timeout"}
	}
	unknownNow := answer{confirm: unknown, kind: rest.Unknown}
	away := func(k rest.Kind) answer { return answer{kind: k} }
	noTranscript := func(k rest.Kind) answer { return answer{confirm: confirmed, kind: k, failed: true} }
	hold := func(a answer, d time.Duration) answer {
		a.hold = noon.Add(d)
		return a
	}
	tests := []struct {
		name      string
		before    progress
		gap, took time.Duration
		answer    answer
		timeout   time.Duration

		state       queue.State
		wait        time.Duration
		unavailable string
		reason      string
		elapsed     time.Duration
	}{
		{"confirmed at once", progress{}, 0, time.Second, answer{confirm: confirmed}, hour, queue.Delivered, 0, "", "", time.Second},
		{"confirmed later", asked(5, 38*time.Second), 20 * time.Second, time.Second, answer{confirm: confirmed}, hour, queue.Delivered, 0, "", "", 59 * time.Second},

		{"unknown", progress{}, 0, 0, unknownNow, hour, queue.Pending, time.Second, "", "", 0},
		{"unknown again", asked(1, 0), time.Second, 0, unknownNow, hour, queue.Pending, 2 * time.Second, "", "", time.Second},
		{"unknown a third time", asked(2, time.Second), 2 * time.Second, 0, unknownNow, hour, queue.Pending, 5 * time.Second, "", "", 3 * time.Second},
		{"unknown for long", asked(9, 4*time.Minute), time.Minute, 0, unknownNow, hour, queue.Pending, time.Minute, "", "", 5 * time.Minute},
		{"unknown for nearly 10 minutes", asked(14, 8*time.Minute+30*time.Second), time.Minute, 0, unknownNow, hour, queue.Pending, 30 * time.Second, "", "", 9*time.Minute + 30*time.Second},
		{"unknown for 10 minutes", asked(15, 9*time.Minute), time.Minute, 0, unknownNow, hour, queue.Unconfirmed, 0, "", ReasonUnknown, 10 * time.Minute},
		{"unknown for 10 minutes, whatever fetch_timeout", asked(15, 9*time.Minute), time.Minute, 0, unknownNow, time.Minute, queue.Unconfirmed, 0, "", ReasonUnknown, 10 * time.Minute},
		{"another status", progress{}, 0, 0, answer{confirm: otherStatus}, hour, queue.Pending, time.Second, "", "", 0},
		{"another status for 10 minutes", asked(15, 9*time.Minute), time.Minute, 0, answer{confirm: otherStatus}, hour, queue.Unconfirmed, 0, "", ReasonStatus, 10 * time.Minute},
		{"a gateway that did not run", asked(3, 8*time.Second), 24 * time.Hour, 0, unknownNow, hour, queue.Pending, 10 * time.Second, "", "", 13 * time.Second},
		{"a clock that was set back", asked(3, 8*time.Second), -time.Hour, -time.Hour, unknownNow, hour, queue.Pending, 10 * time.Second, "", "", 8 * time.Second},

		{"away", progress{}, 0, time.Second, away(rest.Unreachable), hour, queue.Pending, time.Second, "", "", 0},
		{"away for a month", progress{away: 40_000}, time.Minute, time.Second, away(rest.Unreachable), hour, queue.Pending, 10 * time.Second, "", "", 0},
		{"a wrong key", progress{away: 9}, time.Minute, 0, away(rest.Unauthorized), hour, queue.Pending, 10 * time.Second, "", "", 0},
		{"no budget", progress{away: 9}, time.Minute, 0, away(rest.Quota), hour, queue.Pending, 10 * time.Second, "", "", 0},
		{"a timeout", progress{}, 0, 30 * time.Second, away(rest.Timeout), hour, queue.Pending, time.Second, "", "", 0},
		{"busy", progress{away: 9}, 0, 0, away(rest.RateLimited), hour, queue.Pending, time.Minute, "", "", 0},
		{"busy until", progress{}, 0, 0, hold(away(rest.RateLimited), time.Hour), hour, queue.Pending, time.Hour, "", "", 0},
		{"an answer that cannot be read", progress{away: 9}, 0, 0, away(rest.InvalidAnswer), hour, queue.Pending, time.Minute, "", "", 0},
		{"away after it was unknown", asked(15, 9*time.Minute+59*time.Second), time.Minute, time.Minute, away(rest.Unreachable), hour, queue.Pending, time.Second, "", "", 9*time.Minute + 59*time.Second},

		{"no transcript", progress{}, 0, 3 * time.Second, noTranscript(rest.Unreachable), hour, queue.Pending, time.Second, "", "", 3 * time.Second},
		{"no transcript again", known(6, 10*time.Minute), 30 * time.Second, 0, noTranscript(rest.InvalidAnswer), hour, queue.Pending, time.Minute, "", "", 10*time.Minute + 30*time.Second},
		{"no transcript, busy until", known(6, 10*time.Minute), 30 * time.Second, 0, hold(noTranscript(rest.RateLimited), 5*time.Minute), hour, queue.Pending, 5 * time.Minute, "", "", 10*time.Minute + 30*time.Second},
		{"no transcript, busy for too long", known(6, 10*time.Minute), 30 * time.Second, 0, hold(noTranscript(rest.RateLimited), 24*time.Hour), hour, queue.Pending, 49*time.Minute + 30*time.Second, "", "", 10*time.Minute + 30*time.Second},
		{"no transcript within fetch_timeout", known(70, 59*time.Minute), time.Minute, 0, noTranscript(rest.Timeout), hour, queue.Delivered, 0, "timeout", "", hour},
		{"unreachable", known(70, hour), 0, 0, noTranscript(rest.Unreachable), hour, queue.Delivered, 0, "unreachable", "", hour},
		{"invalid", known(70, hour), 0, 0, noTranscript(rest.InvalidAnswer), hour, queue.Delivered, 0, "invalid_answer", "", hour},
		{"unauthorized", known(70, hour), 0, 0, noTranscript(rest.Unauthorized), hour, queue.Delivered, 0, "unauthorized", "", hour},
		{"quota", known(70, hour), 0, 0, noTranscript(rest.Quota), hour, queue.Delivered, 0, "quota", "", hour},
		{"not ready", known(70, hour), 0, 0, noTranscript(rest.NotReady), hour, queue.Delivered, 0, "transcription_invalid_state", "", hour},
		{"not ready, in another word", known(70, hour), 0, 0, answer{confirm: confirmed, kind: rest.NotReady, typ: "not_yet", failed: true}, hour, queue.Delivered, 0, "not_yet", "", hour},
		{"limited", known(70, hour), 0, 0, noTranscript(rest.RateLimited), hour, queue.Delivered, 0, "limit_exceeded", "", hour},
		{"gone", known(9, 9*time.Minute+30*time.Second), time.Minute, 0, noTranscript(rest.Unknown), hour, queue.Delivered, 0, "gone", "", 10*time.Minute + 30*time.Second},
		{"gone, not yet", known(3, time.Minute), time.Second, 0, noTranscript(rest.Unknown), hour, queue.Pending, 10 * time.Second, "", "", time.Minute + time.Second},
		{"gone, by a short fetch_timeout", known(3, time.Minute), time.Second, 0, noTranscript(rest.Unknown), time.Minute, queue.Delivered, 0, "gone", "", time.Minute + time.Second},
		{"unknown after it was confirmed", known(9, 10*time.Minute), 0, 0, unknownNow, hour, queue.Delivered, 0, "gone", "", 10 * time.Minute},
		{"away after it was confirmed", known(9, 10*time.Minute), time.Hour, 0, away(rest.Unreachable), hour, queue.Pending, time.Minute, "", "", 11 * time.Minute},
		{"away until its time is over", known(69, 59*time.Minute), time.Hour, 0, away(rest.Unreachable), hour, queue.Delivered, 0, "unreachable", "", hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := tt.before.after(tt.gap, tt.took, tt.answer, tt.timeout, noon)
			if got.state != tt.state || got.wait != tt.wait || got.unavailable != tt.unavailable || got.reason != tt.reason {
				t.Errorf("%s, wait %s, unavailable %q, reason %q", got.state, got.wait, got.unavailable, got.reason)
			}
			if got.progress.elapsed != tt.elapsed {
				t.Errorf("elapsed %s, want %s", got.progress.elapsed, tt.elapsed)
			}
			if got.progress.confirmed != (tt.before.confirmed || tt.answer.confirm == confirmed) {
				t.Errorf("confirmed: %v", got.progress.confirmed)
			}
		})
	}
}

// Whatever the API says, an event of which it says something is asked for a bounded number
// of times.
func TestProgressEnds(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]answer{
		"unknown":       {confirm: unknown, kind: rest.Unknown},
		"other status":  {confirm: otherStatus},
		"gone":          {confirm: confirmed, kind: rest.Unknown, failed: true},
		"no transcript": {confirm: confirmed, kind: rest.NotReady, failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p progress
			gap := time.Duration(0)
			for n := 1; ; n++ {
				s := p.after(gap, 100*time.Microsecond, a, time.Hour, noon)
				if s.state != queue.Pending {
					if n < 15 || n > 70 {
						t.Errorf("%s after %d attempts", s.state, n)
					}
					return
				}
				if n > 100 || s.wait <= 0 {
					t.Fatalf("wait %s after attempt %d", s.wait, n)
				}
				p = progressOf(queue.Delivery{Attempts: n, History: []queue.Attempt{{Note: s.progress.note()}}})
				gap = s.wait
			}
		})
	}
}

func TestProgressNote(t *testing.T) {
	t.Parallel()
	for _, p := range []progress{
		{}, {away: 7}, {asked: 3, elapsed: 1500 * time.Millisecond}, {confirmed: true, asked: 70, elapsed: time.Hour, away: 2, word: "transcription_invalid_state"},
	} {
		note := p.note()
		d := queue.Delivery{Attempts: 1, History: []queue.Attempt{{Note: "asked 1 1 1"}, {Note: note}}}
		if got := progressOf(d); got != p || len(note) > 128 {
			t.Errorf("%q is %+v, want %+v", note, got, p)
		}
		d.Attempts = 0 // replayed
		if got := progressOf(d); got != (progress{}) {
			t.Errorf("after a replay %+v", got)
		}
	}
	for _, note := range []string{"", "asked", "asked x", "confirmed 1 2", "since 1 file f1"} {
		if got := progressOf(queue.Delivery{Attempts: 1, History: []queue.Attempt{{Note: note}}}); got != (progress{}) {
			t.Errorf("%q is %+v", note, got)
		}
	}
}
