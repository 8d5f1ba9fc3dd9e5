package command

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

// healthPatience is how long the server may take to answer a probe. It asks its queue
// for less than that, and the command ends within 5 s.
const healthPatience = 4 * time.Second

var probes = []cobra.Completion{"live", "ready"}

func healthCommand() *cobra.Command {
	return addAddress(&cobra.Command{
		Use:   "health [live|ready]",
		Short: "Reports whether the gateway is live or ready, for a container's probe",
		Long: `
Prints one line and exits with 0 if the gateway is live or ready. Live: the process
answers. Ready (the default): its queue is open, can be read and written, and has
space left. The command ends within 5 s, even if the queue or the server hangs.
With --json it prints the gateway's answer, even if the gateway is not ready.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || (len(args) == 1 && !slices.Contains(probes, args[0])) {
				return fmt.Errorf("name one probe, %s; see: caddy %s --help", strings.Join(probes, " or "), subcommand(cmd))
			}
			return nil
		},
		ValidArgs: probes,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			probe, route := "ready", admin.RouteReady
			if len(args) > 0 && args[0] == "live" {
				probe, route = "live", admin.RouteLive
			}
			c, err := newAdminClient(cmd)
			if err != nil {
				return err
			}
			defer c.close()
			c.patience = healthPatience
			var h admin.Health
			err = c.ask(cmd.Context(), route, &h)
			failed, refused := errors.AsType[admin.Error](err)
			switch {
			case refused && failed.Status == http.StatusServiceUnavailable && wantsJSON(cmd):
				if err := printJSON(cmd, admin.Health{Status: "unavailable", Reason: failed.Text}); err != nil {
					return err
				}
				return errNotDone
			case err != nil:
				return fmt.Errorf("not %s: %w", probe, err)
			case wantsJSON(cmd):
				return printJSON(cmd, h)
			}
			_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", probe, h.Status)
			return nil
		}),
	})
}
