package scenario

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// A Scenario injects one kind of fault and counts the events.
type Scenario struct {
	Name string // for -only
	Text string // one line for -list
	Run  func(ctx context.Context, e *Env) ([]table.Row, error)

	OnlyNamed bool // runs only if -only names it
}

// An Env is the environment of a scenario.
type Env struct {
	Binary string    // of the gateway
	Log    io.Writer // for the progress; may be nil
	Dir    string    // for the directories of rigs
	Large  bool
	Soak   time.Duration
}

// NewRig returns a rig with a backend for each of these upstreams. The caller must close it.
func (e *Env) NewRig(ctx context.Context, upstreams ...string) (*gateway.Rig, error) {
	return gateway.New(ctx, e.Binary, e.Dir, upstreams...)
}

// Pick returns the number for the -size of this run.
func (e *Env) Pick(small, large int) int {
	if e.Large {
		return large
	}
	return small
}

// Logf logs the progress of a scenario.
func (e *Env) Logf(format string, args ...any) {
	if e.Log == nil {
		return
	}
	fmt.Fprintf(e.Log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// Random returns a number from 0 up to below, without below.
func Random[T int | time.Duration](below T) T {
	return rand.N(max(below, 1)) //nolint:gosec // not used for secrets
}
