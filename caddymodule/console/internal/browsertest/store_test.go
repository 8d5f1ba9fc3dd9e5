//go:build examples

package browsertest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// planted is in every payload and query, and on no page.
const planted = "PLANTED-PATIENT"

// A made event is what the pages show before a provider has sent anything.
type made struct {
	age      time.Duration
	provider string
	kind     string // the short type
	state    queue.State
	reason   string
	course   map[string][]attempt // by upstream
}

// An attempt of a made event.
type attempt struct {
	after  time.Duration // since the event was received
	took   time.Duration
	status int // 0: no connection
}

const (
	soapnote = "soapnoteapi"
	soniox   = "soniox"
	note     = "note.generated"
)

// ok returns the course of a delivery that succeeds at once.
func ok(took time.Duration) []attempt { return []attempt{{20 * time.Millisecond, took, 200}} }

// failing returns the course of a delivery that is refused by the default schedule.
func failing(status int, waits ...time.Duration) []attempt {
	var all []attempt
	after := 30 * time.Millisecond
	for i := range len(waits) + 1 {
		all = append(all, attempt{after, time.Duration(40+13*i) * time.Millisecond, status})
		if i < len(waits) {
			after += waits[i]
		}
	}
	return all
}

// days returns the made events, the oldest first.
func days() []made {
	const ms, s, m, h = time.Millisecond, time.Second, time.Minute, time.Hour
	retries := []time.Duration{5 * s, 30 * s, 2 * m, 10 * m, 30 * m, h, 2 * h, 4 * h, 8 * h}
	all := func(ehr, warehouse, archive []attempt) map[string][]attempt {
		return map[string][]attempt{"ehr": ehr, "warehouse": warehouse, "archive": archive}
	}
	list := []made{
		{50 * h, soapnote, note, "", "", all(ok(81*ms), ok(36*ms), failing(413, retries...))},
		{46 * h, soapnote, note, "", "", all(ok(77*ms), ok(31*ms), failing(413, retries...))},
		{30 * h, soniox, "transcription.completed", queue.Unconfirmed, result.ReasonUnknown, nil},
		{29 * h, soapnote, note, "", "", all(ok(64*ms), ok(29*ms), failing(422, retries...))},
		{27*h + 12*m, soapnote, event.Other, queue.Quarantined, "created_at is missing or is not a string", nil},
		{26 * h, soapnote, "note.failed", "", "", map[string][]attempt{"ehr": ok(58 * ms), "archive": {{25 * ms, 61 * ms, 410}}}},
		{21 * h, soniox, "transcription.error", queue.Unrouted, "", nil},
		{19 * h, soniox, "transcription.error", queue.Unrouted, "", nil},
		{5 * h, soapnote, event.Test, "", "", nil},
		{3 * h, soapnote, note, "", "", all([]attempt{{20 * ms, 30 * s, -1}, {35 * s, 412 * ms, 503}, {68 * s, 92 * ms, 200}}, ok(33*ms), ok(120*ms))},
	}
	for i := range 14 { // until the warehouse went away
		list = append(list, made{2*h - time.Duration(i)*5*m, soapnote, note, "", "", all(ok(time.Duration(60+7*i)*ms), ok(30*ms), ok(110*ms))})
	}
	for i := range 9 { // since then
		age := 46*m - time.Duration(i)*5*m
		away := []attempt{{20 * ms, 3 * ms, 0}}
		list = append(list, made{age, soapnote, note, "", "", all(ok(time.Duration(60+9*i)*ms), away, ok(104*ms))})
		if i%3 == 1 {
			list = append(list, made{age - m, soniox, "transcription.completed", "", "", map[string][]attempt{"ehr": ok(55 * ms)}})
		}
	}
	return list
}

// fillStore stores the made events in a new store.
func fillStore(t *testing.T, path string) {
	t.Helper()
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Keys: []seal.Key{seal.Key(queueKey)}, Settings: queue.DefaultSettings()})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(16, 2026))
	now := time.Now()
	for _, m := range days() {
		id := fmt.Sprintf("%s-%016x%016x", m.provider, random.Uint64(), random.Uint64())
		it := queue.Item{State: m.state, Reason: m.reason, Event: &event.Event{
			ID: id, Provider: m.provider, Type: event.TypePrefix(m.provider) + m.kind, Subject: subject(m, now, random), ReceivedAt: now.Add(-m.age),
			Source: "https://" + m.provider + ".com", Kind: event.KindNote, Body: []byte(`{"note":"` + planted + `"}`), Query: "patient=" + planted,
		}}
		for upstream := range m.course {
			it.Upstreams = append(it.Upstreams, upstream)
		}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
		for upstream, course := range m.course {
			for i, a := range course {
				settle(t, q, id, upstream, a, now.Add(-m.age), i == len(course)-1)
			}
		}
	}
	if err := q.Close(); err != nil {
		t.Fatal(err)
	}
}

// subject returns the subject of a made event, as its provider would choose it.
func subject(m made, now time.Time, random *rand.Rand) string {
	switch m.kind {
	case event.Other:
		return ""
	case event.Test:
		return fmt.Sprintf("test_%d", now.Add(-m.age).UnixMilli())
	}
	a, b := random.Uint64(), random.Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>52, b&0xffffffffffff)
}

// settle records an attempt at a delivery of an event.
func settle(t *testing.T, q queue.Queue, id, upstream string, a attempt, received time.Time, last bool) {
	t.Helper()
	o := queue.Outcome{At: received.Add(a.after), Duration: a.took, Status: max(0, a.status), Result: queue.Failure, Used: true, State: queue.Pending, Next: received}
	switch {
	case a.status == 200:
		o.Result, o.State, o.Next = queue.Success, queue.Delivered, time.Time{}
	case a.status == 410:
		o.Result, o.State, o.Next = queue.Gone, queue.Dead, time.Time{}
	case a.status == 0:
		o.Result, o.Used = queue.ConnectError, false
	case a.status < 0:
		o.Result = queue.Timeout
	case last:
		o.State, o.Next = queue.Dead, time.Time{}
	}
	commandtest.WaitUntil(t, "the delivery is due", func() bool {
		claimed, err := q.Claim(upstream, time.Now(), queue.Want{First: 100, Retry: 100})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, d := range claimed.Deliveries {
			if d.EventID == id {
				o.Delivery, found = d, true
				continue
			}
			q.Release(d)
		}
		return found
	})
	q.Settle(o)
}

// fillHour records the last hour's attempts.
func fillHour(now time.Time) {
	random := rand.New(rand.NewPCG(16, 2026))
	for ago := 59; ago > 0; ago-- {
		at := now.Add(-time.Duration(ago) * time.Minute)
		many := func(upstream string, delivered bool, n int) {
			for range n {
				activity.Process.Attempt(upstream, delivered, time.Duration(60+random.IntN(140))*time.Millisecond, at)
			}
		}
		n := 3 + random.IntN(6) + (60-ago)/12
		many("ehr", true, n)
		if ago == 22 || ago == 21 {
			many("ehr", false, 2)
		}
		many("archive", true, n-random.IntN(2))
		if ago == 34 {
			many("archive", false, 1)
		}
		if ago > 46 {
			many("warehouse", true, n)
		} else {
			many("warehouse", false, 1)
		}
	}
}
