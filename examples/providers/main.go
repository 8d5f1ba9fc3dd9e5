// Command providers plays the REST APIs of Soniox and SOAPNoteAPI, so that you can try the
// gateway and your own backend without an account, and without patients' data. It sends
// the webhooks of what you create.
//
//	go run ./examples/providers -listen 127.0.0.1:8099
//
// See standin for what it does where the providers document nothing.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1) //nolint:gocritic // stop is called before
	}
}

// The webhook of the gateway that `make run` starts, and the secrets that it accepts:
// those in examples/secrets, which are public.
const (
	noteWebhook      = "http://127.0.0.1:8080/soapnote"
	noteSecret       = "whsec_demonstration_soapnote_not_for_production"
	sonioxWebhook    = "http://127.0.0.1:8080/soniox"
	sonioxCredential = "Bearer demonstration-soniox-not-for-production"
)

// exhausted are Soniox's error types for 402.
var exhausted = []string{"organization_balance_exhausted", "organization_monthly_budget_exhausted", "project_monthly_budget_exhausted"}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	listen, options, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	options.Log = log.New(out, "", log.LstdFlags).Printf

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("listening: %w; choose another address with -listen", err)
	}
	providers := standin.New(options)
	server := &http.Server{Handler: providers, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	fmt.Fprint(out, usage("http://"+listener.Addr().String(), options))

	select {
	case err = <-ended:
		err = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	providers.Close()
	return errors.Join(err, server.Close())
}

// parse returns the address to listen on and the settings.
func parse(args []string) (listen string, o standin.Options, err error) {
	flags := flag.NewFlagSet("providers", flag.ContinueOnError)
	var readKey string
	flags.StringVar(&listen, "listen", "127.0.0.1:8099", "`address` to listen on")
	flags.Func("soniox-key", "API `key` of Soniox that may read and write; give the flag several times for several keys (default "+standin.SonioxKey+")", func(value string) error {
		o.SonioxKeys = append(o.SonioxKeys, standin.Key{Value: value})
		return nil
	})
	flags.StringVar(&readKey, "soniox-read-key", "snx_standin_read", "API `key` of Soniox that may only read")
	flags.Func("soapnote-key", "API `key` of SOAPNoteAPI; give the flag several times for several keys (default "+standin.SOAPNoteKey+")", func(value string) error {
		o.SOAPNoteKeys = append(o.SOAPNoteKeys, value)
		return nil
	})
	flags.StringVar(&o.NoteWebhook, "soapnote-webhook", noteWebhook, "`URL` to which SOAPNoteAPI's webhooks go")
	flags.StringVar(&o.NoteSecret, "soapnote-secret", noteSecret, "`secret` that signs SOAPNoteAPI's webhooks")
	flags.DurationVar(&o.ProcessingDelay, "delay", 2*time.Second, "`time` until a transcription or note is finished")
	flags.StringVar(&o.Exhausted, "exhausted", "", "error `type` of a 402 that answers the creation of a transcription: "+strings.Join(exhausted, ", "))
	if err := flags.Parse(args); err != nil {
		return "", o, err
	}
	if flags.NArg() > 0 {
		return "", o, fmt.Errorf("wrong number of arguments: %q is not a flag; see -h", flags.Arg(0))
	}
	if o.Exhausted != "" && !slices.Contains(exhausted, o.Exhausted) {
		return "", o, fmt.Errorf("-exhausted %s is not one of %s", o.Exhausted, strings.Join(exhausted, ", "))
	}
	if len(o.SonioxKeys) == 0 {
		o.SonioxKeys = []standin.Key{{Value: standin.SonioxKey}}
	}
	o.SonioxKeys = append(o.SonioxKeys, standin.Key{Value: readKey, ReadOnly: true})
	if len(o.SOAPNoteKeys) == 0 {
		o.SOAPNoteKeys = []string{standin.SOAPNoteKey}
	}
	return listen, o, nil
}

// usage returns what the program prints when it listens.
func usage(url string, o standin.Options) string {
	var keys strings.Builder
	for _, k := range o.SonioxKeys {
		may := "reads and writes"
		if k.ReadOnly {
			may = "reads"
		}
		fmt.Fprintf(&keys, "    Soniox       %s (%s)\n", k.Value, may)
	}
	for _, k := range o.SOAPNoteKeys {
		fmt.Fprintf(&keys, "    SOAPNoteAPI  %s\n", k)
	}
	return fmt.Sprintf(`Both providers listen on %[1]s

  In the Caddyfile, beside api_key:

    api_base %[1]s

  API keys:

%[2]s
  Create a transcription, whose webhook goes to the gateway of make run:

    curl %[1]s/v1/transcriptions \
      -H 'Authorization: Bearer %[3]s' -H 'Content-Type: application/json' \
      -d '{"model": "stt-async-v4", "audio_url": "https://example.com/visit.wav", "webhook_url": "%[4]s?user_id=123", "webhook_auth_header_name": "Authorization", "webhook_auth_header_value": "%[5]s"}'

  Create a note, whose webhook goes to %[6]s:

    curl -X PUT %[1]s/v1/note/audio -H 'Authorization: Bearer %[7]s' -F 'audio=synthetic;filename=visit.wav'

  A URL or file name that contains "fail" makes either of them fail. Ctrl-C ends the program.

`, url, keys.String(), o.SonioxKeys[0].Value, sonioxWebhook, sonioxCredential, cmp.Or(o.NoteWebhook, "nobody, since -soapnote-webhook is empty"), o.SOAPNoteKeys[0])
}
