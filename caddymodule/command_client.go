package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// addAddress gives a command the flags that say where the admin API is.
func addAddress(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().String("address", "", "the admin API's address (default localhost:2019, or what the configuration says)")
	cmd.Flags().String("config", "", "the configuration file to find the admin API's address in")
	cmd.Flags().String("adapter", "", "the configuration file's adapter")
	return cmd
}

// An adminClient asks the admin API again and again over one connection, and
// tells an answer's status.
type adminClient struct {
	address string
	origin  string
	client  http.Client
}

func newAdminClient(cmd *cobra.Command) (*adminClient, error) {
	address, err := adminAddress(cmd)
	if err != nil {
		return nil, err
	}
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil || parsed.PortRangeSize() > 1 {
		return nil, fmt.Errorf("%q is no address of an admin API", address)
	}
	c := &adminClient{address: address, origin: "http://" + parsed.JoinHostPort(0)}
	if parsed.IsUnixNetwork() {
		c.origin = "http://127.0.0.1"                     // what Caddy takes such requests to be for
		parsed.Host, _, _ = strings.Cut(parsed.Host, "|") // the socket's mode may stand behind its name
	}
	c.client.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, parsed.Network, parsed.JoinHostPort(0))
		},
	}
	return c, nil
}

func (c *adminClient) close() { c.client.CloseIdleConnections() }

// get decodes the answer to a GET. An answer that is an error is an adminError.
func (c *adminClient) get(ctx context.Context, uri string, answer any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.origin+uri, nil)
	if err != nil {
		return fmt.Errorf("making a request to the admin API: %w", err)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return adminAPIError(c.address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerError))
		if err == nil {
			err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
		}
		return adminError{resp.StatusCode, adminAPIError(c.address, err).Error()}
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("reading the admin API's answer: %w", err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // or the connection could not be used again
	return nil
}

// maxAnswerError bounds the text of an error that is read.
const maxAnswerError = 1 << 20

// adminAddress finds out where the admin API is.
func adminAddress(cmd *cobra.Command) (string, error) {
	address, _ := cmd.Flags().GetString("address") // all are defined by addAddress
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
	if err != nil {
		return "", fmt.Errorf("finding the admin API's address: %w", err)
	}
	return address, nil
}

// call asks the admin API of the running server and decodes its answer.
func call(cmd *cobra.Command, method, uri string, body, answer any) error {
	address, err := adminAddress(cmd)
	if err != nil {
		return err
	}
	var content io.Reader
	header := make(http.Header)
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
		content = bytes.NewReader(encoded)
		header.Set("Content-Type", "application/json")
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, uri, header, content)
	if err != nil {
		return adminAPIError(address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("reading the admin API's answer: %w", err)
	}
	return nil
}

// adminAPIError is what the admin API said, or else why it said nothing.
func adminAPIError(address string, err error) error {
	if _, body, ok := strings.Cut(err.Error(), "{"); ok {
		var said struct {
			Error  string `json:"error"`
			Reason string `json:"reason"` // a probe's
		}
		if json.Unmarshal([]byte("{"+strings.TrimSpace(body)), &said) == nil && said.Error+said.Reason != "" {
			return errors.New(said.Error + said.Reason)
		}
	}
	return fmt.Errorf("asking the admin API at %s: %w; is Caddy running there, with Scribegate built in?", address, err)
}
