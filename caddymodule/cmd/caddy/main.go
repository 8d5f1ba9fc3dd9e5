// Command caddy is a Caddy with Scribegate built in, for those who build with
// `go build` rather than with xcaddy.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/scribegate/scribegate/caddymodule"
	_ "github.com/scribegate/scribegate/caddymodule/postgres"
)

func main() {
	caddycmd.Main()
}
