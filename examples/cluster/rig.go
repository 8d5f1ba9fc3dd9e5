package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

//go:embed gateway.caddyfile
var gatewayFile []byte

//go:embed front.caddyfile
var frontFile []byte

// nodes is the number of gateways.
const nodes = 3

// A rig is everything that runs.
type rig struct {
	url, secret string // of SOAPNoteAPI's webhook
	inbox       *inbox
	database    *pgtest.Server
	gateways    []*stage.Gateway
	front       *stage.Gateway

	binary, dir string
	envs        [][]string // of the gateways
	closers     []func() error
}

// start starts everything.
func start(ctx context.Context, binary string) (c *rig, err error) {
	c = &rig{binary: binary, secret: "whsec_" + seal.NewKey().Encode()}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.dir, err = os.MkdirTemp("", "scribegate-cluster-"); err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	c.closers = append(c.closers, func() error { return os.RemoveAll(c.dir) })
	if c.database, err = pgtest.Start(pgtest.Options{TCP: true, Durable: true}); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	c.closers = append(c.closers, func() error { c.database.Stop(); return nil })
	backend, signing, err := c.serveBackend(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := c.writeFiles(signing)
	if err != nil {
		return nil, err
	}
	ports, err := stage.Ports(ctx, 2*nodes+2)
	if err != nil {
		return nil, err
	}
	addresses := make([]string, 0, nodes)
	for i := range nodes {
		address := "127.0.0.1:" + ports[2*i]
		addresses = append(addresses, address)
		c.envs = append(c.envs, []string{
			"SCRIBEGATE_SECRETS=" + secrets, "SCRIBEGATE_SITE=:" + ports[2*i], "SCRIBEGATE_UPSTREAM=" + backend,
			"SCRIBEGATE_LEASE=" + lease.String(), "CADDY_ADMIN=127.0.0.1:" + ports[2*i+1],
		})
		c.gateways = append(c.gateways, nil)
		c.closers = append(c.closers, func() error {
			if c.gateways[i] == nil {
				return nil
			}
			return c.gateways[i].Stop()
		})
		if err := c.restart(ctx, i); err != nil {
			return nil, err
		}
	}
	site, admin := "http://127.0.0.1:"+ports[2*nodes], "127.0.0.1:"+ports[2*nodes+1]
	c.url = site + "/soapnote"
	c.front, err = c.caddy(ctx, "front", admin, "SCRIBEGATE_SITE="+site, "SCRIBEGATE_GATEWAYS="+strings.Join(addresses, " "), "CADDY_ADMIN="+admin)
	if err != nil {
		return nil, err
	}
	c.closers = append(c.closers, c.front.Stop)
	return c, nil
}

// serveBackend runs the backend, and returns its URL and the secret that signs deliveries.
func (c *rig) serveBackend(ctx context.Context) (url, signing string, err error) {
	signing = "whsec_" + seal.NewKey().Encode()
	key, err := receive.ParseSecret(signing)
	if err != nil {
		return "", "", err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("starting the backend: %w", err)
	}
	c.inbox = newInbox()
	server := &http.Server{Handler: c.inbox.handler(key), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // it ends with Close
	c.closers = append(c.closers, server.Close)
	return "http://" + listener.Addr().String() + "/events", signing, nil
}

// writeFiles writes the configurations and the secrets, and returns the secrets' directory.
func (c *rig) writeFiles(signing string) (secrets string, err error) {
	secrets = filepath.Join(c.dir, "secrets")
	if err := os.Mkdir(secrets, 0o700); err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	for file, content := range map[string]string{
		"gateway.caddyfile": string(gatewayFile), "front.caddyfile": string(frontFile),
		"secrets/dsn": c.database.AddressDSN(), "secrets/key": seal.NewKey().Encode(), "secrets/signing": signing,
		"secrets/soapnote": c.secret, "secrets/soniox": seal.NewKey().Encode(),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, file), []byte(content), 0o600); err != nil {
			return "", fmt.Errorf("writing a configuration: %w", err)
		}
	}
	return secrets, nil
}

// restart starts a gateway.
func (c *rig) restart(ctx context.Context, i int) error {
	g, err := c.caddy(ctx, "gateway", strings.TrimPrefix(c.envs[i][len(c.envs[i])-1], "CADDY_ADMIN="), c.envs[i]...)
	if err == nil {
		c.gateways[i] = g
	}
	return err
}

// caddy starts a Caddy with one of the configurations.
func (c *rig) caddy(ctx context.Context, config, admin string, env ...string) (*stage.Gateway, error) {
	return stage.StartGateway(ctx, c.binary, filepath.Join(c.dir, config+".caddyfile"), c.dir, "http://"+admin, env...)
}

// stop ends what was started, the latest first.
func (c *rig) stop() (err error) {
	for len(c.closers) > 0 {
		last := len(c.closers) - 1
		err = errors.Join(err, c.closers[last]())
		c.closers = c.closers[:last]
	}
	return err
}
