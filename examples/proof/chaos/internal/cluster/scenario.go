package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/volume"
)

// Scenario injects faults into a cluster.
var Scenario = scenario.Scenario{
	Name: "cluster",
	Text: "three gateways on one PostgreSQL, of which gateways, databases, disk or network fail",
	Run:  runCluster,
}

// A fault is a kind of fault. Each kind has a new cluster.
type fault struct {
	name         string
	small, large int // how many times it is injected
	networked    bool
	volume       int64 // the size of the databases' file system in bytes; 0 means that of this program

	// inject injects the fault for the nth time, and repairs what it has broken. It returns when all
	// gateways accept again.
	inject func(ctx context.Context, c *cluster, n int) error
}

var faults = []fault{
	{name: "kill -9 of a gateway", small: 2, large: 30, inject: killGateway},
	{name: "kill -9 of the primary, and its standby is promoted", small: 1, large: 10, inject: failOver},
	{name: "kill -9 of the synchronous standby, which commits wait for", small: 1, large: 5, inject: loseStandby},
	{name: "kill -9 of all gateways and databases at once", small: 2, large: 20, inject: killAll},
	{name: "the network between a gateway and the databases is cut", small: 1, large: 6, networked: true, inject: cutNetwork},
	{name: "a gateway is stopped for longer than its lease", small: 1, large: 10, inject: suspend},
	{name: "rolling restart", small: 1, large: 10, inject: restart},
	{name: "the disk of the databases is full", small: 1, large: 5, volume: 512 << 20, inject: fillDisk},
}

func runCluster(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	for _, f := range faults {
		row, faultErr := f.run(ctx, e)
		row.Fault = "cluster: " + f.name
		if faultErr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", row.Fault, faultErr))
			row.Note = table.Failed(faultErr) + "; " + row.Note
		}
		e.Logf("  %s: %d times, %d acknowledged, %d lost, %d duplicated, pause %.2f s; %s", row.Fault, row.Times, row.Acknowledged, row.Lost, row.Duplicated, row.Recovery.Seconds(), row.Note)
		rows = append(rows, row)
	}
	return rows, err
}

// run injects a fault into a new cluster.
func (f fault) run(ctx context.Context, e *scenario.Env) (row table.Row, err error) {
	var v *volume.Volume
	if f.volume > 0 {
		if v, err = volume.New(ctx, e.Dir, f.volume); err != nil {
			return row, err
		}
		defer func() { err = errors.Join(err, v.Close()) }()
	}
	var n *network
	if f.networked {
		if n, err = newNetwork(ctx, gateways); err != nil {
			return row, err
		}
		defer func() { err = errors.Join(err, n.close()) }()
	}
	d, err := startDatabases(ctx, e.Dir, v, n)
	if err != nil {
		return row, err
	}
	defer d.stop()
	c, err := newCluster(ctx, e, d)
	if err != nil {
		return row, err
	}
	defer c.close(&err)
	times := 0
	injected := c.accepting(ctx, "the start")
	c.longest = nil
	for injected == nil && times < e.Pick(f.small, f.large) {
		if injected = await.Sleep(ctx, time.Second+scenario.Random(300*time.Millisecond)); injected == nil {
			injected = f.inject(ctx, c, times)
			times++
		}
	}
	row, err = c.finish(ctx)
	row.Times = times
	if err := errors.Join(injected, err); err != nil {
		return row, err
	}
	return row, c.settled(ctx)
}
