package operate

import (
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var (
	noon    = time.Date(2026, time.March, 19, 12, 0, 0, 0, time.UTC)
	attempt = queue.Attempt{Number: 1, At: noon, Duration: time.Second, Result: queue.Timeout, Used: true}
	last    = queue.Attempt{Number: 2, At: noon.Add(time.Minute), Duration: time.Second, Result: queue.Failure, Status: 422, Used: true}

	deadRecord  = queue.Record{ID: "dead", Type: "note.failed", State: queue.Dead, EndedAt: noon.Add(time.Hour), Deliveries: []queue.DeliveryRecord{died("ehr", attempt, last), died("lab", attempt)}}
	quarantined = queue.Record{ID: "quarantined", Type: "other", State: queue.Quarantined, Reason: "note_id is missing", ReceivedAt: noon, EndedAt: noon.Add(time.Second)}
	unrouted    = queue.Record{ID: "unrouted", Type: "note.failed", State: queue.Unrouted, ReceivedAt: noon, EndedAt: noon.Add(time.Second)}
	unconfirmed = queue.Record{ID: "unconfirmed", Type: "other", State: queue.Unconfirmed, Reason: "soniox has no such transcription", ReceivedAt: noon, EndedAt: noon.Add(time.Hour)}
)

// died returns a dead delivery with its attempts.
func died(upstream string, history ...queue.Attempt) queue.DeliveryRecord {
	return queue.DeliveryRecord{Upstream: upstream, State: queue.Dead, Attempts: len(history), History: history}
}

func TestCauseAndSince(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		record   queue.Record
		delivery *queue.DeliveryRecord
		cause    Cause
		since    time.Time
	}{
		"dead by an answer":  {deadRecord, &deadRecord.Deliveries[0], Cause{Upstream: "ehr", Outcome: queue.Failure, Status: 422}, noon.Add(61 * time.Second)},
		"dead by no answer":  {deadRecord, &deadRecord.Deliveries[1], Cause{Upstream: "lab", Outcome: queue.Timeout}, noon.Add(time.Second)},
		"dead, no attempts":  {deadRecord, &queue.DeliveryRecord{Upstream: "ehr", State: queue.Dead}, Cause{Upstream: "ehr"}, time.Time{}},
		"quarantined":        {quarantined, nil, Cause{Reason: "note_id is missing"}, noon.Add(time.Second)},
		"unrouted":           {unrouted, nil, Cause{Type: "note.failed"}, noon.Add(time.Second)},
		"unconfirmed, later": {unconfirmed, nil, Cause{Reason: "soniox has no such transcription"}, noon.Add(time.Hour)},
	}
	groups := make(map[Cause]bool)
	for name, tt := range tests {
		if got := CauseOf(tt.record, tt.delivery); got != tt.cause {
			t.Errorf("%s: cause %+v, want %+v", name, got, tt.cause)
		}
		if got := Since(tt.record, tt.delivery); !got.Equal(tt.since) {
			t.Errorf("%s: since %s, want %s", name, got, tt.since)
		}
		groups[tt.cause] = true
	}
	if len(groups) != len(tests) {
		t.Errorf("%d causes are different, want %d", len(groups), len(tests))
	}
}

func TestGroupHas(t *testing.T) {
	t.Parallel()
	rejected := Cause{Upstream: "ehr", Outcome: queue.Failure, Status: 422}
	reason, kind := Cause{Reason: quarantined.Reason}, Cause{Type: "note.failed"}
	tests := map[string]struct {
		group    Group
		record   queue.Record
		delivery *queue.DeliveryRecord
		want     bool
	}{
		"of any cause":          {Group{Until: noon.Add(61 * time.Second)}, deadRecord, &deadRecord.Deliveries[0], true},
		"of the cause":          {Group{Until: noon.Add(61 * time.Second), Cause: &rejected}, deadRecord, &deadRecord.Deliveries[0], true},
		"died later":            {Group{Until: noon.Add(61*time.Second - 1), Cause: &rejected}, deadRecord, &deadRecord.Deliveries[0], false},
		"other upstream":        {Group{Until: noon.Add(time.Hour), Cause: &rejected}, deadRecord, &deadRecord.Deliveries[1], false},
		"no until":              {Group{}, deadRecord, &deadRecord.Deliveries[0], false},
		"quarantined":           {Group{Until: quarantined.EndedAt, Cause: &reason}, quarantined, nil, true},
		"quarantined later":     {Group{Until: noon, Cause: &reason}, quarantined, nil, false},
		"another reason":        {Group{Until: noon.Add(time.Hour), Cause: &reason}, unconfirmed, nil, false},
		"unrouted":              {Group{Until: unrouted.EndedAt, Cause: &kind}, unrouted, nil, true},
		"unrouted, of any type": {Group{Until: unrouted.EndedAt}, unrouted, nil, true},
		"unconfirmed again":     {Group{Until: noon.Add(time.Minute)}, unconfirmed, nil, false},
	}
	for name, tt := range tests {
		if got := tt.group.Has(tt.record, tt.delivery); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}

func TestSelectionsOfGroups(t *testing.T) {
	t.Parallel()
	cause := Cause{Upstream: "ehr", Outcome: queue.Gone}
	g := Group{State: queue.Dead, Cause: &cause, IDs: []string{"a"}, Until: noon}
	r, p := g.Replay(), g.Purge()
	if r.State != queue.Dead || len(r.IDs) != 1 || r.Match == nil || len(r.Upstreams) != 1 || r.Upstreams[0] != "ehr" || r.Check() != nil {
		t.Errorf("replay %+v", r)
	}
	if p.State != queue.Dead || len(p.IDs) != 1 || p.Match == nil || p.Upstream != "" || p.Check() != nil {
		t.Errorf("purge %+v", p)
	}
	if r := (Group{State: queue.Unrouted, Until: noon}).Replay(); r.Upstreams != nil || r.Check() != nil {
		t.Errorf("replay %+v of unrouted events, want all upstreams", r)
	}
}
