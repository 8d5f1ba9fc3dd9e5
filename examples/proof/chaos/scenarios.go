package main

import (
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/cluster"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/crash"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/disk"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/files"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/power"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/reload"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/results"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/soak"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/upstreams"
)

// scenarios are all scenarios, in the order in which they run.
var scenarios = []scenario.Scenario{
	crash.Kill,
	power.Scenario,
	crash.Backlog,
	crash.Compact,
	crash.Backup,
	files.Erase,
	files.Tamper,
	files.Index,
	files.WAL,
	reload.Scenario,
	upstreams.Scenario,
	results.Scenario,
	disk.Full,
	disk.MaxSize,
	cluster.Scenario,
	soak.Scenario,
}
