package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// completeTimeout is how long somebody who has pressed Tab waits for the
	// running server.
	completeTimeout = time.Second

	// completeEvents is how many events are offered.
	completeEvents = 50

	// anyNumber of arguments is completed.
	anyNumber = -1
)

var providerNames = []cobra.Completion{
	cobra.CompletionWithDesc("soapnoteapi", "SOAPNoteAPI"),
	cobra.CompletionWithDesc("soniox", "Soniox"),
}

// complete has a flag's values completed. The flag is defined.
func complete(cmd *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic(err)
	}
}

// completeNothingElse keeps shells from offering files for arguments and values of
// flags that nothing else is offered for.
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

// completeFiles leaves it to the shell, which knows files.
func completeFiles(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

var (
	completeStates = fixed(string(queue.Pending), string(queue.Delivered), string(queue.Dead), string(queue.Quarantined))

	completeDurations = fixed("5m", "1h", "24h", "7d")
)

// fixed completes to the same values always, in their order.
func fixed(values ...cobra.Completion) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveKeepOrder)
}

// completeSamples completes the events that `send` can make up.
func completeSamples(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp
	for provider, events := range samples {
		if slices.Contains(args, provider) {
			return events, directive
		}
	}
	return append(slices.Clone(samples["soapnoteapi"]), samples["soniox"]...), directive
}

// asked asks the running server for what can be completed. Where none answers in
// time, nothing is completed and nothing said.
func asked(cmd *cobra.Command, path string, answer any) bool {
	c, err := newAdminClient(cmd)
	if err != nil {
		return false
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	return c.ask(ctx, http.MethodGet, path, nil, answer) == nil
}

// completeUpstreams completes the names of upstreams, those that only events are
// left of included.
func completeUpstreams(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var s status
	if !asked(cmd, "status", &s) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	names := make([]cobra.Completion, len(s.Upstreams))
	for i, u := range s.Upstreams {
		names[i] = cobra.CompletionWithDesc(u.Name, fmt.Sprintf("%d pending, %d dead", u.Pending, u.Dead))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// anyState is that of events whatever their state.
const anyState queue.State = ""

// completeIDs completes the ids of the newest events in each of the states, for up
// to so many arguments. Where a flag selects events none are named.
func completeIDs(arguments int, states ...queue.State) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
		if len(args) == arguments || selected(cmd) {
			return nil, directive
		}
		var ids []cobra.Completion
		now := time.Now()
		for _, state := range states {
			var page eventPage
			query := url.Values{"state": {string(state)}, "limit": {strconv.Itoa(completeEvents)}}
			if !asked(cmd, "events?"+query.Encode(), &page) {
				break
			}
			for _, e := range page.Events {
				if strings.HasPrefix(e.ID, prefix) && !slices.Contains(args, e.ID) {
					ids = append(ids, cobra.CompletionWithDesc(e.ID, inShort(e, now)))
				}
			}
		}
		return ids, directive
	}
}

// selected reports whether a flag says which events a command is about.
func selected(cmd *cobra.Command) bool {
	changed := cmd.Flags().Changed
	return changed("dead") || changed("since") || changed("quarantined") || changed("upstream") && cmd.Name() == "purge"
}

// inShort describes an event beside its id.
func inShort(e eventRecord, now time.Time) string {
	parts := []string{e.Type, age(now.Sub(e.ReceivedAt)) + " ago"}
	if e.State == queue.Quarantined {
		parts = append(parts, string(queue.Quarantined))
	}
	for _, d := range e.Deliveries {
		parts = append(parts, d.Upstream+" "+string(d.State))
	}
	return strings.Join(parts, ", ")
}
