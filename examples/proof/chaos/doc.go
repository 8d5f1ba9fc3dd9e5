// Command chaos does damage to a real gateway, again and again, and counts what
// came of the events that it had acknowledged. It prints a table with a row for
// each fault: how often it was done, how many events were acknowledged,
// delivered, lost and duplicated, and the longest time that recovery took. It
// exits with status 0 only if nothing was lost and every row could be done.
//
// It needs the gateway's binary, which `make build` makes, and says so where
// something else is missing; it leaves nothing out silently:
//
//	go run ./examples/proof/chaos                        # small: about five minutes
//	go run ./examples/proof/chaos -size large            # the full numbers
//	go run ./examples/proof/chaos -list                  # the names of the scenarios
//	go run ./examples/proof/chaos -only kill,compact -markdown
//	go run ./examples/proof/chaos -only soak -soak 1h    # faults at random
//
// # Adding a scenario
//
// A scenario is a value of its own in a file of its own, named in the list in
// scenario.go by one line. Its function gets an env and returns rows:
//
//	var reloadScenario = scenario{
//		name: "reload",
//		text: "the configuration is changed under load",
//		run:  runReload,
//	}
//
//	func runReload(ctx context.Context, e *env) (rows []result, err error) {
//		r, err := e.newRig(ctx, "ehr", "audit")  // a ledger with two backends, a fresh directory, free ports
//		if err != nil {
//			return nil, err
//		}
//		defer r.closeInto(&err)                  // kills what still runs, reads its log for panics
//		if err := r.start(ctx, r.caddyfile(options{})); err != nil {
//			return nil, err
//		}
//		b := newBook()                           // what was acknowledged, and every other outcome
//		l := r.fleet().start(ctx, b)             // senders, over keep-alive connections
//		times := e.pick(50, 1000)                // small, large
//		for range times {
//			...                                  // the fault: r.kill(), r.load(ctx, text), r.ledger.backend("ehr").leave() ...
//		}
//		l.stop()
//		row, err := r.settle(ctx, b, 30*time.Second) // waits for every acknowledged event at every upstream it is for
//		row.fault, row.times, row.recovery = "reload under load", times, longest
//		return []result{row}, err
//	}
//
// Rows that are complete are returned also beside an error. An event that was
// acknowledged and has not been delivered is in the row's lost, and that alone
// fails the run: settle's error is for what kept it from counting. Whatever else
// was promised and did not hold, as a recovery that took too long, is an error
// too.
package main
