package forwarder

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The newest failure stays known after a success, and says what was answered.
func TestStatusOfTheLastFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := scripted(always(500))
		r := newRig(t, Upstream{Name: "ehr", Sender: s, Retry: []time.Duration{time.Minute, time.Minute}})
		began := time.Now()
		r.add("ehr", false)
		synctest.Wait()
		check := func(want UpstreamStatus) {
			t.Helper()
			want.Name = "ehr"
			if got := r.d.Status()[0]; got != want {
				t.Errorf("status = %+v\nwant %+v", got, want)
			}
		}
		check(UpstreamStatus{LastFailure: Failure{At: began, Result: queue.Failure, Status: 500}})
		s.now(refused)
		elapse(time.Minute)
		unreached := Failure{At: began.Add(time.Minute), Result: queue.ConnectError}
		check(UpstreamStatus{LastFailure: unreached})
		s.now(always(200))
		elapse(time.Second)
		check(UpstreamStatus{LastSuccess: began.Add(time.Minute + time.Second), LastFailure: unreached})
	})
}
