package results

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"
	zapobserver "go.uber.org/zap/zaptest/observer"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/verifier/event"
)

// planted is a part of a payload, of a transcript and of a note that no line may have.
const planted = "PLANTED"

var (
	began   = time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	next    = began.Add(time.Minute)
	errAPI  = rest.NewError(rest.Unreachable, "GET https://api.soniox.com/v1/transcriptions/{id}", "answered 503")
	causes  = "likely causes: " + result.LikelyCauses + "; correct the cause, then run: caddy scribegate replay --unconfirmed"
	retried = "an event could not be completed from its provider's API; the API is asked again"
)

// reported returns the report of an attempt at a stage.
func reported(stage string, o queue.Outcome, r result.Report) result.Report {
	o.At, o.Duration, o.Note = began, 2*time.Second, planted
	o.Delivery.EventID, o.Delivery.Subject, o.Delivery.Provider, o.Delivery.Type = "soniox-1", "t-1", "soniox", "transcription.completed"
	o.Delivery.Upstream = stage
	o.Event = &event.Event{Body: []byte(planted), Query: planted, Transcription: []byte(planted)}
	r.Outcome = o
	return r
}

func TestAttempted(t *testing.T) {
	t.Parallel()
	const attempts = "fetch_duration_seconds "
	tests := map[string]struct {
		stage   string
		report  result.Report
		level   string // of the line in the log; "" if there is none
		text    string
		fields  map[string]any // beside those of the event
		action  string         // of the line in the audit trail; "" if there is none
		trail   map[string]any
		counted map[string]float64
	}{
		"completed": {
			stage:   completion,
			report:  reported("", queue.Outcome{State: queue.Delivered, Status: 200}, result.Report{Word: result.Done, Asked: true}),
			action:  "completed",
			counted: map[string]float64{attempts + "success": 1},
		},
		"completed without a request": {
			stage:  completion,
			report: reported("", queue.Outcome{State: queue.Delivered}, result.Report{Word: result.Done}),
			action: "completed",
		},
		"completed without its transcript": {
			stage:   completion,
			report:  reported("", queue.Outcome{State: queue.Delivered, Status: 503, Retain: true}, result.Report{Word: "unreachable", Err: errAPI, Asked: true, Unavailable: "unreachable"}),
			level:   "warn",
			text:    "an event is delivered without its transcript, which can be fetched at the provider by hand as long as it is there",
			fields:  map[string]any{"reason": "unreachable", "status": int64(503), "error": errAPI.Error(), "unavailable": "unreachable"},
			action:  "completed",
			trail:   map[string]any{"unavailable": "unreachable"},
			counted: map[string]float64{attempts + "unreachable": 1},
		},
		"unconfirmed": {
			stage:   completion,
			report:  reported("", queue.Outcome{State: queue.Unconfirmed, Status: 404, Reason: result.ReasonUnknown}, result.Report{Word: "unknown", Err: errAPI, Asked: true}),
			level:   "error",
			text:    "an event is unconfirmed and is not delivered: " + result.ReasonUnknown + "; " + causes,
			fields:  map[string]any{"reason": "unknown", "status": int64(404), "error": errAPI.Error()},
			action:  "unconfirmed",
			trail:   map[string]any{"reason": result.ReasonUnknown},
			counted: map[string]float64{attempts + "unknown": 1, "unconfirmed_total": 1},
		},
		"the first attempt failed": {
			stage:   completion,
			report:  reported("", queue.Outcome{State: queue.Pending, Next: next}, result.Report{Word: "timeout", Err: errAPI, Asked: true}),
			level:   "warn",
			text:    retried,
			fields:  map[string]any{"reason": "timeout", "error": errAPI.Error(), "next_attempt": next},
			counted: map[string]float64{attempts + "timeout": 1},
		},
		"a later attempt failed": {
			stage:   completion,
			report:  reported("", queue.Outcome{State: queue.Pending, Next: next, Status: 200, Delivery: queue.Delivery{Attempts: 3}}, result.Report{Word: result.OtherStatus, Asked: true}),
			level:   "debug",
			text:    retried,
			fields:  map[string]any{"attempt": int64(4), "reason": "other_status", "status": int64(200), "next_attempt": next},
			counted: map[string]float64{attempts + "other_status": 1},
		},
		"an event cannot be read": {
			stage:  completion,
			report: reported("", queue.Outcome{State: queue.Delivered, Retain: true}, result.Report{Word: result.Unreadable, Err: queue.ErrUnreadable}),
			level:  "error",
			text:   "an event could not be read from the queue and is not completed; its deliveries end as dead: see Damage in the documentation",
			fields: map[string]any{"reason": "unreadable", "error": queue.ErrUnreadable.Error()},
		},
		"deleted": {
			stage:  cleanup,
			report: reported("", queue.Outcome{State: queue.Delivered, Status: 200}, result.Report{Word: result.Done, Asked: true}),
			action: "result_deleted",
		},
		"the file is known": {
			stage:  cleanup,
			report: reported("", queue.Outcome{State: queue.Pending, Status: 200, Next: began}, result.Report{Word: result.Done, Asked: true}),
		},
		"deleting failed": {
			stage:  cleanup,
			report: reported("", queue.Outcome{State: queue.Pending, Status: 409, Next: next, Delivery: queue.Delivery{Attempts: 3}}, result.Report{Word: "not_ready", Err: errAPI, Asked: true}),
			level:  "warn",
			text:   "a result could not be deleted at its provider; deleting is retried",
			fields: map[string]any{"attempt": int64(4), "reason": "not_ready", "status": int64(409), "error": errAPI.Error(), "next_attempt": next},
		},
		"deleting is given up": {
			stage:  cleanup,
			report: reported("", queue.Outcome{State: queue.Dead, Status: 403, Next: next}, result.Report{Word: "unauthorized", Err: errAPI, Asked: true}),
			level:  "error",
			text:   "a result could not be deleted at its provider and stays there; delete it at the provider, or with the other old results of the handler: caddy scribegate recover soniox --prune 7d",
			fields: map[string]any{"reason": "unauthorized", "status": int64(403), "error": errAPI.Error()},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, log, trail := observed()
			provider := newName()
			d := &tt.report.Outcome.Delivery
			d.Upstream, d.Provider = tt.stage, provider
			o.Attempted(tt.report)

			about := map[string]any{"event_id": "soniox-1", "subject": "t-1", "provider": provider, "type": "transcription.completed", "attempt": int64(1)}
			wantLine(t, "log", log, tt.level, tt.text, about, tt.fields)
			level := ""
			if tt.action != "" {
				level = "info"
			}
			wantLine(t, "audit trail", trail, level, tt.action, about, tt.trail)
			if all := fmt.Sprint(linesOf(log), linesOf(trail)); strings.Contains(all, planted) {
				t.Errorf("a line has a part of a payload: %s", all)
			}
			if tt.counted == nil {
				tt.counted = map[string]float64{}
			}
			wantSeries(t, provider, tt.counted)
		})
	}
}

// wantLine checks the only line of a log. Its fields are those of both maps, more first. With the level "" there is none.
func wantLine(t *testing.T, what string, logs *zapobserver.ObservedLogs, level, text string, about, more map[string]any) {
	t.Helper()
	got := linesOf(logs)
	if level == "" {
		if len(got) > 0 {
			t.Errorf("the %s has %+v, want nothing", what, got)
		}
		return
	}
	fields := maps.Clone(about)
	maps.Copy(fields, more)
	if want := []line{{level, text, fields}}; !reflect.DeepEqual(got, want) {
		t.Errorf("the %s has\n%+v\nwant\n%+v", what, got, want)
	}
}

func TestStored(t *testing.T) {
	t.Parallel()
	e := &event.Event{ID: "soniox-1", Subject: "t-1", Provider: "soniox", Source: source, Type: "com.soniox.transcription.completed", Body: []byte(planted), Query: planted}
	audited := map[string]any{"event_id": "soniox-1", "subject": "t-1", "provider": "soniox", "type": "transcription.completed", "by": ByReconcile}
	for outcome, level := range map[receive.Outcome]string{receive.Accepted: "", receive.Dropped: "", receive.Unrouted: "warn"} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			o, log, trail := observed()
			o.Stored(e, outcome, ByReconcile)
			wantLine(t, "audit trail", trail, "info", string(outcome), audited, nil)
			wantLine(t, "log", log, level, "a recovered event is not delivered, since no upstream takes its type; add the type to the `events` of an upstream and run `caddy scribegate replay --unrouted`",
				map[string]any{"event_id": "soniox-1", "subject": "t-1", "type": "transcription.completed", "source": source}, nil)
		})
	}
}

// The lines about a stage have the API's provider and source.
func TestStageLines(t *testing.T) {
	t.Parallel()
	failure := errors.New("answered 503")
	tests := map[string]struct {
		call   func(o *Observer)
		level  zapcore.Level
		text   string
		fields map[string]any
	}{
		"paused":                 {func(o *Observer) { o.Paused(completion, time.Time{}, failure) }, zapcore.ErrorLevel, "a provider's API failed repeatedly and is paused; its events wait, and it is asked again after 1 s, then less often, until it answers: see the error for what to check", map[string]any{"error": "answered 503"}},
		"paused as it requested": {func(o *Observer) { o.Paused(cleanup, next, failure) }, zapcore.WarnLevel, "a provider's API is not asked for a while, as it requested; its events wait", map[string]any{"error": "answered 503", "until": next}},
		"resumed":                {func(o *Observer) { o.Resumed(completion) }, zapcore.InfoLevel, "a provider's API is not paused any more", nil},
		"a problem":              {func(o *Observer) { o.Problem(cleanup, failure) }, zapcore.ErrorLevel, "the gateway could not read from its queue which events wait for a provider's API; reading is retried", map[string]any{"error": "answered 503"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, log, trail := observed()
			tt.call(o)
			wantLine(t, "log", log, tt.level.String(), tt.text, map[string]any{"provider": "soniox", "source": source}, tt.fields)
			wantLine(t, "audit trail", trail, "", "", nil, nil)
		})
	}
}
