package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

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

// call asks the admin API of the running server and decodes its answer.
func call(cmd *cobra.Command, method, uri string, body, answer any) error {
	address, _ := cmd.Flags().GetString("address") // all are defined by addAddress
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
	if err != nil {
		return fmt.Errorf("finding the admin API's address: %w", err)
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
