package gateway

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

func TestSuspend(t *testing.T) {
	t.Parallel()
	p, err := stage.Start(stage.Command{Name: "a process", Args: []string{"sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	}()
	g := &Gateway{Process: p}
	is := func(states string) bool {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.PID()) + "/stat")
		if err != nil {
			t.Fatal(err)
		}
		return strings.ContainsAny(strings.Fields(string(stat))[2], states)
	}
	reach := func(states string) {
		t.Helper()
		for began := time.Now(); !is(states); time.Sleep(time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("the process is in none of the states %s", states)
			}
		}
	}
	if err := g.Suspend(); err != nil {
		t.Fatal(err)
	}
	reach("T")
	if err := g.Resume(); err != nil {
		t.Fatal(err)
	}
	reach("SR")
}
