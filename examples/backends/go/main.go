// Command go is a backend that receives Scribegate's deliveries. It uses only the
// standard library. It verifies webhook-signature, handles each event once by
// webhook-id, answers 204 and prints one line per event. Package receive is the
// part to copy.
//
// It needs the upstream's signing secret:
//
//	SCRIBEGATE_SIGNING_SECRET=whsec_... go run ./examples/backends/go -listen 127.0.0.1:9000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv("SCRIBEGATE_SIGNING_SECRET"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until ctx ends. Without a secret it returns an error.
func run(ctx context.Context, args []string, secret string, out io.Writer) error {
	flags := flag.NewFlagSet("backend", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:9000", "`address` to listen on")
	show := flags.Bool("show", false, "print each event's data: use it with synthetic data only, since notes are confidential")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	key, err := receive.ParseSecret(secret)
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("/", receive.New(key, out, handler(out, *show)))

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *listen)
	if err != nil {
		return fmt.Errorf("listening: %w; choose another address with -listen", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())

	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	// The gateway retries a delivery that is interrupted here.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := server.Shutdown(grace); errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	} else if err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	return nil
}

// handler returns the function that handles an event: a real backend does its own work there.
func handler(out io.Writer, show bool) func(receive.Delivery) error {
	return func(d receive.Delivery) error {
		if show {
			fmt.Fprintf(out, "%s\n", d.Data)
		}
		return nil
	}
}
