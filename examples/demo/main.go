// Command demo plays both providers through a real gateway, with its own backends that
// verify the deliveries, and shows each request, answer and event. The transcript comes
// from the stand-in for Soniox's REST API. It exits with status 0 only if everything was as
// expected.
//
// It needs the gateway's binary, which `make build` makes:
//
//	go run ./examples/demo
package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

//go:embed demo.caddyfile
var caddyfile []byte

func main() {
	// SIGPIPE comes if the reader of the output ends first, such as head, and would end
	// the program before it has stopped the gateway.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Args[1:], newPrinter(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

// run starts the gateway and the backends, plays the steps and stops both.
func run(ctx context.Context, args []string, out printer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	caddy := flags.String("caddy", filepath.Join("bin", "caddy"), "`path` of the gateway's binary")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("a minute is over"))
	defer cancel()
	binary, err := stage.Caddy(*caddy)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "scribegate-demo-")
	if err != nil {
		return fmt.Errorf("making a directory for the queue: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	random, signingSecret := secrets{soapnote: newSecret(), soniox: rand.Text(), sonioxKey: "snx_" + rand.Text()}, newSecret()
	key, err := receive.ParseSecret(signingSecret)
	if err != nil {
		return err
	}
	in := newInbox()
	backend, closeBackends, err := serve(ctx, in.handler(key, ehr, audit))
	if err != nil {
		return fmt.Errorf("starting the backends: %w", err)
	}
	defer closeBackends()
	providers := standin.New(standin.Options{SonioxKeys: []standin.Key{{Value: random.sonioxKey}}})
	soniox, closeSoniox, err := serve(ctx, providers)
	if err != nil {
		return fmt.Errorf("starting the stand-in for Soniox: %w", err)
	}
	defer closeSoniox()
	defer providers.Close()

	ports, err := stage.Ports(ctx, 2)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "demo.caddyfile")
	if err := os.WriteFile(config, caddyfile, 0o600); err != nil {
		return fmt.Errorf("writing the gateway's configuration: %w", err)
	}
	admin := "127.0.0.1:" + ports[1]
	gateway, err := stage.StartGateway(ctx, binary, config, dir, "http://"+admin,
		"CADDY_ADMIN="+admin, "PORT="+ports[0], "BACKEND_PORT="+backend, "SONIOX_PORT="+soniox,
		"SOAPNOTE_SECRET="+random.soapnote, "SONIOX_WEBHOOK_SECRET="+random.soniox, "SONIOX_API_KEY="+random.sonioxKey,
		"SCRIBEGATE_SIGNING_SECRET="+signingSecret)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, gateway.Stop()) }()

	sc := scene{
		gateway: "http://127.0.0.1:" + ports[0], soniox: "http://127.0.0.1:" + soniox,
		inbox: in, patience: 10 * time.Second, idle: gateway.WaitIdle, out: out,
	}
	out.title(sc, "http://127.0.0.1:"+backend)
	if err := sc.play(ctx, steps(sc.gateway, random, time.Now())); err != nil {
		return fmt.Errorf("%w; the gateway printed last:\n%s", err, gateway.Tail(20))
	}
	return nil
}

// serve runs a server on a free port and returns the port.
func serve(ctx context.Context, handler http.Handler) (port string, stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }() // it ends with Close
	return port, func() { _ = server.Close() }, nil
}

// newSecret returns a random secret in the form of both SOAPNoteAPI and Standard
// Webhooks, which use it differently.
func newSecret() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	return "whsec_" + base64.StdEncoding.EncodeToString(key)
}
