package power

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/internal/powercut"
)

func TestPowercutNeedsStrace(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	rows, err := runPowercut(t.Context(), &scenario.Env{Dir: t.TempDir()})
	if len(rows) > 0 || err == nil || !strings.Contains(err.Error(), "apt-get install strace") {
		t.Errorf("runPowercut() = %v, %v, want an error that says how to install strace", rows, err)
	}
}

func TestAddressed(t *testing.T) {
	t.Parallel()
	b := ledger.NewBook()
	b.Acknowledge("soapnoteapi-1", nil, false, time.Second)
	b.Acknowledge("soniox-1", nil, true, time.Second)
	want := map[string][]string{"soapnoteapi-1": {"ehr", "audit"}, "soniox-1": {"ehr", "audit", "late"}}
	if got := addressed(b).Snapshot(); !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("addressed() = %v, want %v", got, want)
	}
}

func TestRecordedKnows(t *testing.T) {
	t.Parallel()
	c := recorded{rec: &powercut.Recording{Answers: []powercut.Answer{{ID: "soniox-1", At: 1}}}}
	b := ledger.NewBook()
	b.Acknowledge("soniox-1", nil, false, 0)
	if err := c.know(b, map[string]map[string]int{"ehr": {"soniox-1": 1}}); err != nil {
		t.Fatal(err)
	}
	if want := map[powercut.Delivery]bool{{Upstream: "ehr", ID: "soniox-1"}: true}; !maps.Equal(c.promise.Accepted, want) {
		t.Errorf("Accepted = %v, want %v", c.promise.Accepted, want)
	}
	if got := c.promise.Upstreams["soniox-1"]; len(got) != 3 {
		t.Errorf("the event is for %v", got)
	}
	b.Acknowledge("soniox-2", nil, false, 0)
	if err := c.know(b, nil); err == nil || !strings.Contains(err.Error(), "soniox-2") {
		t.Errorf("know() = %v, want an error that names the missing event", err)
	}
}

// lostQueue returns a recording in which an event is acknowledged although nothing was written.
func lostQueue(upstream string) *recorded {
	return &recorded{
		rec: &powercut.Recording{Length: 1, Answers: []powercut.Answer{{ID: "soniox-1", At: 1}}},
		promise: powercut.Promise{
			Path:      "queue.db",
			Upstreams: map[string][]string{"soniox-1": {upstream}},
			Hosts:     map[string]string{"ehr": "127.0.0.1:1"},
		},
	}
}

func TestReplayRow(t *testing.T) {
	t.Parallel()
	cuts := []powercut.Cut{{At: 1, Manner: powercut.Nothing}, {At: 1, Manner: powercut.Everything}}
	row, err := lostQueue("ehr").replay(t.Context(), &scenario.Env{}, "power cut", cuts, t.TempDir())
	if row.Fault != "power cut" || row.Times != 2 || row.Lost != 2 {
		t.Errorf("the row is %+v, want a lost event in both cuts", row)
	}
	if err == nil || !strings.Contains(err.Error(), "after 2 of 2 power cuts") || !strings.Contains(err.Error(), "event soniox-1 was acknowledged and is lost") {
		t.Errorf("replay() = %v", err)
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	if err := lostQueue("ehr").control(t.Context(), t.TempDir()); err != nil {
		t.Errorf("control() = %v, want nil, since everything is lost", err)
	}
	blind := lostQueue("ehr")
	blind.promise.Upstreams = nil
	if err := blind.control(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "does not detect losses") {
		t.Errorf("control() = %v, want an error, since the replay finds no loss", err)
	}
	if err := (&recorded{rec: new(powercut.Recording)}).control(t.Context(), t.TempDir()); err == nil {
		t.Error("control() = nil for a recording without an answer")
	}
}
