package admin

import (
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The deliveries have one order, whether the queue has them in memory or on disk.
func TestDeliveriesAreInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	r := queue.Record{Deliveries: []queue.DeliveryRecord{{Upstream: "ehr"}, {Upstream: "warehouse"}, {Upstream: "archive", Attempts: 3}}}
	got := NewEvent(r, false).Deliveries
	if got[0].Upstream != "archive" || got[0].Attempts != 3 || got[1].Upstream != "ehr" || got[2].Upstream != "warehouse" {
		t.Errorf("deliveries %v", got)
	}
	if r.Deliveries[0].Upstream != "ehr" {
		t.Error("the record was changed")
	}
}
