package command

import (
	"runtime"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/caddymodule/internal/build"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Prints the versions of Scribegate, Caddy and Go",
		Args:  noArguments,
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			ofCaddy, _ := caddy.Version()
			v := struct {
				Scribegate string `json:"scribegate"`
				Caddy      string `json:"caddy"`
				Go         string `json:"go"`
			}{build.Version(), ofCaddy, runtime.Version()}
			if wantsJSON(cmd) {
				return printJSON(cmd, v)
			}
			t := terminal.NewTable(cmd.OutOrStdout())
			t.Row(terminal.Text("scribegate"), terminal.Text(v.Scribegate))
			t.Row(terminal.Text("caddy"), terminal.Text(v.Caddy))
			t.Row(terminal.Text("go"), terminal.Text(v.Go))
			return t.Flush()
		}),
	}
}
