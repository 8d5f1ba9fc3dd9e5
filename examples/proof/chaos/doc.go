// Command chaos injects faults into a real gateway, again and again, and counts the events that
// the gateway had acknowledged. It prints a table with a row for each fault: how many times it was
// injected, how many events were acknowledged, delivered, lost and duplicated, and the longest
// recovery time. The exit status is 0 only if nothing was lost and every scenario ran.
//
// It needs the gateway's binary, which `make build` makes. If something else is missing, such as
// strace or the right to mount a file system, it fails and reports what to do. It skips no scenario
// silently:
//
//	go run ./examples/proof/chaos                        # small: about seven minutes
//	go run ./examples/proof/chaos -size large            # the full numbers
//	go run ./examples/proof/chaos -list                  # the names of the scenarios
//	go run ./examples/proof/chaos -only kill,compact -markdown
//	go run ./examples/proof/chaos -only soak -soak 1h    # random faults
//
// # Why it does not use existing tools
//
// toxiproxy and Pumba delay or cut connections and kill containers. Here the faults are in the
// queue's files, the disk and the process, and every event has to be counted at every upstream.
// Power cuts are replayed from a log of strace, since a virtual machine per power cut would be too
// slow for ten thousand of them.
//
// # Adding a scenario
//
// A scenario is a value in its own file, in the package below internal for its kind of fault, with one
// line in the list in scenarios.go. Its function gets an environment and returns rows:
//
//	var Scenario = scenario.Scenario{
//		Name: "reload",
//		Text: "the configuration is changed under load",
//		Run:  runReload,
//	}
//
//	func runReload(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
//		r, err := e.NewRig(ctx, "ehr", "audit")  // a gateway with a new directory and free ports, and two backends
//		if err != nil {
//			return nil, err
//		}
//		defer r.CloseInto(&err)                  // kills the processes, and checks the log for panics
//		if err := r.Start(ctx, r.Caddyfile(gateway.Options{})); err != nil {
//			return nil, err
//		}
//		b := ledger.NewBook()                    // records the outcome of each request
//		l := r.Fleet().Start(ctx, b)             // senders with keep-alive connections
//		times := e.Pick(50, 1000)                // small, large
//		for range times {
//			...                                  // the fault: r.Kill(), r.Load(ctx, text), r.Ledger.Backend("ehr").Stop() ...
//		}
//		l.Stop()
//		row, err := r.Settle(ctx, b, 30*time.Second) // waits until every acknowledged event is at each of its upstreams
//		row.Fault, row.Times, row.Recovery = "reload under load", times, longest
//		return []table.Row{row}, err
//	}
//
// Return complete rows also with an error. An acknowledged event that is not delivered is counted as
// lost in the row, and this alone fails the run: Settle returns an error only if it could not count.
// If another promise is broken, such as the maximum recovery time, return an error.
package main
