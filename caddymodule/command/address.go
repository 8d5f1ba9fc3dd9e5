package command

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// addAddress adds the flags for the address of the admin API to a command.
func addAddress(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("address", "", "the admin API's address, such as localhost:2019 or unix//run/caddy/admin.sock (default localhost:2019, or what CADDY_ADMIN or the configuration says)")
	cmd.Flags().String("config", "", "the configuration file to find the admin API's address in")
	cmd.Flags().String("adapter", "", "the configuration file's adapter")
	complete(cmd, "config", completeFiles)
	return cmd
}

// adminAddress returns the address of the admin API.
func adminAddress(cmd *cobra.Command) (written string, address caddy.NetworkAddress, err error) {
	written, _ = cmd.Flags().GetString("address") // all are defined by addAddress
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if adapter != "" && config == "" {
		return "", address, errors.New("--adapter needs --config")
	}
	written, err = caddycmd.DetermineAdminAPIAddress(written, nil, config, adapter)
	if err != nil {
		return "", address, fmt.Errorf("finding the admin API's address: %w", err)
	}
	address, wrong := parseAdminAddress(written)
	if wrong != "" {
		return "", address, fmt.Errorf("%q is not the address of an admin API: %s; write it as in localhost:2019, or unix//run/caddy/admin.sock for a socket", written, wrong)
	}
	return written, address, nil
}

// parseAdminAddress returns the address to connect to, or describes what is wrong
// with it.
func parseAdminAddress(written string) (address caddy.NetworkAddress, wrong string) {
	switch {
	case strings.Contains(written, "://"):
		return address, "it must be a host and a port, without http://"
	case strings.HasPrefix(written, "/"):
		return address, "a socket's path needs unix/ in front"
	}
	address, err := caddy.ParseNetworkAddress(written)
	switch {
	case err != nil:
		return address, "it is not a host and a port"
	case address.Network == "unix":
		address.Host, _, _ = strings.Cut(address.Host, "|") // the socket's mode may follow its name
		if address.Host == "" {
			return address, "the socket's path is missing"
		}
		return address, ""
	case address.Network != "tcp" && address.Network != "tcp4" && address.Network != "tcp6":
		return address, "its network is not tcp or unix"
	case address.StartPort == 0:
		return address, "its port is missing"
	case address.PortRangeSize() > 1:
		return address, "it has more than one port"
	}
	if _, err := url.Parse("http://" + address.JoinHostPort(0)); err != nil {
		return address, "it is not a host and a port"
	}
	return address, ""
}
