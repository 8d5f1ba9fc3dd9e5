package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"github.com/scribegate/scribegate/caddymodule/command/internal/sample"
	"github.com/scribegate/scribegate/verifier"
)

// The address and secrets of the root Caddyfile, so that `send soapnoteapi`
// works beside it without a flag.
const (
	defaultSendTo     = "http://127.0.0.1:8080/"
	defaultSecretFlag = "{env.SOAPNOTE_SECRET}"
	defaultHeaderFlag = "Authorization: Bearer {env.SONIOX_WEBHOOK_SECRET}"
	sendTimeout       = 30 * time.Second
)

// sending has the values of the flags of `send`.
type sending struct {
	provider, to, secret, header, event, file, cacert string

	insecure bool
	count    int
	rate     float64
}

// sent is the result of one request.
type sent struct {
	Status    int    `json:"status"`
	ID        string `json:"id,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
	Error     string `json:"error,omitempty"`
}

func sendCommand() *cobra.Command {
	var s sending
	cmd := &cobra.Command{
		Use:   "send <provider>",
		Short: "Plays a provider: sends a genuine event to the gateway",
		Long: `
Plays the provider: signs a sample event or a file, POSTs it to the gateway, and
prints the status of the answer and the event's id. The samples are synthetic.`,
		Example: `  caddy scribegate send soapnoteapi --event note.generated
  caddy scribegate send soniox --header 'Authorization: Bearer {env.SONIOX_WEBHOOK_SECRET}'
  caddy scribegate send soapnoteapi --to https://hooks.example.com/soapnote --secret '{env.SOAPNOTE_SECRET}'`,
		Args:      exactly(1, "name one provider, soapnoteapi or soniox"),
		ValidArgs: providerNames,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			s.provider = args[0]
			return s.send(cmd)
		}),
	}
	cmd.Flags().StringVar(&s.to, "to", "", "the gateway's URL for this provider (default "+defaultSendTo+"soapnote or soniox)")
	cmd.Flags().StringVar(&s.secret, "secret", "", "SOAPNoteAPI's webhook secret (default "+defaultSecretFlag+")")
	cmd.Flags().StringVar(&s.header, "header", "", "Soniox's authentication header (default "+defaultHeaderFlag+")")
	cmd.Flags().StringVar(&s.event, "event", "", "note.generated (default), note.failed or test; transcription.completed (default) or transcription.error")
	cmd.Flags().StringVar(&s.file, "file", "", "a file whose bytes are sent as the body, instead of a sample; - is standard input")
	cmd.Flags().StringVar(&s.cacert, "cacert", "", "a PEM file of CA certificates; only these CAs are trusted to issue the site's certificate")
	cmd.Flags().BoolVar(&s.insecure, "insecure", false, "accept any certificate of the site")
	cmd.Flags().IntVar(&s.count, "count", 1, "how many events to send")
	cmd.Flags().Float64Var(&s.rate, "rate", 0, "how many events a second at most; 0 is no limit")
	complete(cmd, "event", completeSamples)
	complete(cmd, "file", completeFiles)
	complete(cmd, "cacert", completeFiles)
	return cmd
}

// prepare sets the defaults of flags, and returns a function that adds the proof of a body
// to the headers of its request.
func (s *sending) prepare() (prove func(http.Header, []byte), err error) {
	switch {
	case s.count < 1:
		return nil, errors.New("--count must be at least 1")
	case !(s.rate >= 0) || math.IsInf(s.rate, 1):
		return nil, errors.New("--rate must be a number of events a second, or 0 for no limit")
	case s.file != "" && s.event != "":
		return nil, errors.New("--event selects a sample and cannot be used with --file")
	case s.event != "" && sample.Events[s.provider] != nil && !slices.Contains(sample.Events[s.provider], s.event):
		return nil, fmt.Errorf("--event %q is unknown for %s; it is %s", s.event, s.provider, alternatives(sample.Events[s.provider]))
	}
	switch s.provider {
	case "soapnoteapi":
		s.to = cmp.Or(s.to, defaultSendTo+"soapnote")
		s.event = cmp.Or(s.event, "note.generated")
		if s.header != "" {
			return nil, errors.New("--header is for soniox; SOAPNoteAPI's requests are signed with --secret")
		}
		secret, err := usableSecretFlag("secret", cmp.Or(s.secret, defaultSecretFlag))
		if err != nil {
			return nil, err
		}
		return func(h http.Header, body []byte) {
			timestamp := strconv.FormatInt(time.Now().Unix(), 10)
			h.Set(verifier.TimestampHeader, timestamp)
			h.Set(verifier.SignatureHeader, verifier.Sign(secret, timestamp, body))
		}, nil
	case "soniox":
		s.to = cmp.Or(s.to, defaultSendTo+"soniox")
		s.event = cmp.Or(s.event, "transcription.completed")
		if s.secret != "" {
			return nil, errors.New("--secret is for soapnoteapi; Soniox's requests are authenticated with --header 'Name: value'")
		}
		name, value, err := headerFlag(cmp.Or(s.header, defaultHeaderFlag), usableSecretFlag)
		if err != nil {
			return nil, err
		}
		return func(h http.Header, _ []byte) { h.Set(name, value) }, nil
	}
	return nil, fmt.Errorf("unknown provider %q; it is soapnoteapi or soniox", s.provider)
}

func (s *sending) send(cmd *cobra.Command) error {
	prove, err := s.prepare()
	if err != nil {
		return err
	}
	client, err := s.newEventClient(prove)
	if err != nil {
		return err
	}
	defer client.close()
	body, err := s.fileBody(cmd.InOrStdin())
	if err != nil {
		return err
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	all, err := s.sendAll(ctx, body, client, func(one sent) {
		if !wantsJSON(cmd) {
			_, _ = fmt.Fprintln(cmd.OutOrStdout(), one.line())
		}
	})
	if wantsJSON(cmd) && len(all) > 0 {
		if err := printJSON(cmd, all); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return fmt.Errorf("stopped: %d of %d events were sent", len(all), s.count)
	case err != nil && len(all) > 0:
		return fmt.Errorf("%w (%d of %d events were sent before)", err, len(all), s.count)
	case err != nil:
		return err
	}
	refused := 0
	for _, one := range all {
		if one.ID == "" {
			refused++
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d of %d events were not received", refused, s.count)
	}
	return nil
}

// sendAll sends one event after the other, and calls report with each result.
func (s *sending) sendAll(ctx context.Context, body []byte, client *eventClient, report func(sent)) (all []sent, err error) {
	limit := rate.Inf
	if s.rate > 0 {
		limit = rate.Limit(s.rate)
	}
	limiter := rate.NewLimiter(limit, 1)
	for range s.count {
		if err := limiter.Wait(ctx); err != nil {
			return all, fmt.Errorf("waiting to send the next event: %w", err)
		}
		content := body
		if content == nil {
			if content, err = sample.Body(s.event, time.Now()); err != nil {
				return all, err
			}
		}
		one, err := client.post(ctx, content)
		if err != nil {
			return all, err
		}
		all = append(all, one)
		report(one)
	}
	return all, nil
}

// line is the result for people.
func (r sent) line() string {
	line := fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status))
	switch {
	case r.ID != "":
		line += "  " + r.ID
	case r.Error != "":
		line += "  " + r.Error
	}
	if r.Duplicate {
		line += "  (duplicate)"
	}
	return line
}

// fileBody returns the content of --file, or nil without that flag.
func (s *sending) fileBody(stdin io.Reader) ([]byte, error) {
	if s.file == "" {
		return nil, nil
	}
	return readFile("file", s.file, stdin)
}
