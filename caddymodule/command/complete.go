package command

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/command/internal/sample"
	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	// completeTimeout is how long a completion waits for the running server.
	completeTimeout = time.Second

	// completeEvents is how many events are offered.
	completeEvents = 50

	// newestFirst keeps the order of events.
	newestFirst = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
)

var providerNames = []cobra.Completion{
	cobra.CompletionWithDesc("soapnoteapi", "SOAPNoteAPI"),
	cobra.CompletionWithDesc("soniox", "Soniox"),
}

// complete sets how the values of a flag are completed. The flag is defined.
func complete(cmd *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err)
	}
}

// completeNothingElse keeps a shell from offering files for arguments and flags that have
// no completion of their own.
func completeNothingElse(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, ok := cmd.GetFlagCompletionFunc(f.Name); !ok && f.NoOptDefVal == "" {
			complete(cmd, f.Name, cobra.NoFileCompletions)
		}
	})
}

// completeFiles leaves the completion of files to the shell.
func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

var (
	completeStates = fixed(admin.StateNames()...)

	completeDurations = fixed("5m", "1h", "24h", "7d")
)

// fixed always completes the same values, in their order.
func fixed(values ...cobra.Completion) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
}

// completeSamples completes the sample events of `send`.
func completeSamples(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	for provider, events := range sample.Events {
		if slices.Contains(args, provider) {
			return events, directive
		}
	}
	return append(slices.Clone(sample.Events["soapnoteapi"]), sample.Events["soniox"]...), directive
}

// asked requests the values of a completion from the running server. It returns false if
// no server answers in time; then nothing is completed.
func asked(cmd *cobra.Command, route admin.Route, answer any) bool {
	c, err := newAdminClient(cmd)
	if err != nil {
		return false
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	return c.ask(ctx, route, answer) == nil
}

// completeUpstreams completes the names of upstreams, including those that are no longer
// configured and still have events.
func completeUpstreams(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var s admin.Status
	if !asked(cmd, admin.RouteStatus, &s) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]cobra.Completion, len(s.Upstreams))
	for i, u := range s.Upstreams {
		names[i] = cobra.CompletionWithDesc(u.Name, fmt.Sprintf("%d pending, %d dead", u.Pending, u.Dead))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// anyState selects events whatever their state is.
const anyState queue.State = ""

// completeIDs completes any number of ids: those of the newest events in each of the
// states. If a flag selects the events, no ids are completed.
func completeIDs(states ...queue.State) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) (ids []cobra.Completion, _ cobra.ShellCompDirective) {
		for _, state := range states {
			if selected(cmd) {
				break
			}
			events, answered := newestEvents(cmd, state)
			if !answered {
				break
			}
			ids = append(ids, namesOf(events, eventID, args, prefix)...)
		}
		return ids, newestFirst
	}
}

// completeIDOrSubject completes one argument: an id, or the subject of events.
func completeIDOrSubject(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, newestFirst
	}
	events, _ := newestEvents(cmd, anyState)
	return append(namesOf(events, eventID, nil, prefix), namesOf(events, eventSubject, nil, prefix)...), newestFirst
}

// completeSubjects completes the subjects of the newest events.
func completeSubjects(cmd *cobra.Command, _ []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	events, _ := newestEvents(cmd, anyState)
	return namesOf(events, eventSubject, nil, prefix), newestFirst
}

func eventID(e admin.Event) string      { return e.ID }
func eventSubject(e admin.Event) string { return e.Subject }

// namesOf returns the names of events that begin with the prefix, each once, except
// those that are already given.
func namesOf(events []admin.Event, name func(admin.Event) string, given []string, prefix string) (names []cobra.Completion) {
	now := time.Now()
	for _, e := range events {
		n := name(e)
		if n != "" && strings.HasPrefix(n, prefix) && !slices.Contains(given, n) {
			given = append(slices.Clip(given), n)
			names = append(names, cobra.CompletionWithDesc(n, inShort(e, now)))
		}
	}
	return names
}

// completeTypes completes the short types that the providers send today, and that of
// any other event.
func completeTypes(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return append(build.EventTypes(), event.Other), cobra.ShellCompDirectiveNoFileComp
}

// newestEvents returns the newest events in a state, and whether a server answered.
func newestEvents(cmd *cobra.Command, state queue.State) ([]admin.Event, bool) {
	var page admin.EventPage
	query := url.Values{"state": {string(state)}, "limit": {strconv.Itoa(completeEvents)}}
	answered := asked(cmd, admin.RouteEvents.WithQuery(query), &page)
	return page.Events, answered
}

// selected reports whether a flag selects the events of a command.
func selected(cmd *cobra.Command) bool {
	for _, flag := range []string{"dead", "quarantined", "unrouted", "unconfirmed", "since"} {
		if cmd.Flags().Changed(flag) {
			return true
		}
	}
	return cmd.Flags().Changed("upstream") && cmd.Name() == "purge"
}

// inShort describes an event beside its id.
func inShort(e admin.Event, now time.Time) string {
	parts := []string{e.Type, wording.Age(now.Sub(e.ReceivedAt)) + " ago"}
	if e.State.SetAside() {
		parts = append(parts, string(e.State))
	}
	for _, d := range e.Deliveries {
		parts = append(parts, d.Upstream+" "+string(d.State))
	}
	return strings.Join(parts, ", ")
}
