package command

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/command/internal/terminal"
	"github.com/scribegate/scribegate/verifier"
)

// judgement is the result of `verify`.
type judgement struct {
	Genuine bool     `json:"genuine"`
	Reason  string   `json:"reason,omitempty"`
	Age     string   `json:"age,omitempty"`
	Payload string   `json:"payload,omitempty"` // "valid", or its defect
	EventID string   `json:"id,omitempty"`
	Hints   []string `json:"hints,omitempty"`
}

func verifyCommand() *cobra.Command {
	var c capture
	cmd := &cobra.Command{
		Use:   "verify <provider>",
		Short: "Reports whether a captured request is genuine, and if not, why",
		Long: `
Reports whether a captured request is genuine, how old it is, and if it is not
genuine, why, with hints at common mistakes. The body is read from --file, or from
standard input, and must be exactly the bytes that were received. The age is checked
only with --tolerance. Nothing is sent anywhere.

For soniox, which does not sign its requests, --header is the captured header and
--secret the value that it should have.`,
		Example:   `  caddy scribegate verify soapnoteapi --secret '{env.SOAPNOTE_SECRET}' --signature 3fae... --timestamp 1773934200 --file body.json`,
		Args:      exactly(1, "name one provider, soapnoteapi or soniox"),
		ValidArgs: providerNames,
		RunE: run(func(cmd *cobra.Command, args []string) error {
			c.provider = args[0]
			tolerance, err := c.check()
			if err != nil {
				return err
			}
			secret, err := secretFlag("secret", c.secret)
			if err != nil {
				return err
			}
			body, err := readFile("file", cmp.Or(c.file, "-"), cmd.InOrStdin())
			if err != nil {
				return err
			}
			var j judgement
			if c.provider == "soapnoteapi" {
				j = judgeSOAPNoteAPI(secret, c.signature, c.timestamp, body, tolerance, time.Now())
			} else if j, err = judgeSoniox(secret, c.header, body); err != nil {
				return err
			}
			return j.print(cmd)
		}),
	}
	cmd.Flags().StringVar(&c.secret, "secret", "", "the webhook secret; a placeholder keeps it out of the shell's history")
	cmd.Flags().StringVar(&c.signature, "signature", "", "the value of "+verifier.SignatureHeader)
	cmd.Flags().StringVar(&c.timestamp, "timestamp", "", "the value of "+verifier.TimestampHeader)
	cmd.Flags().StringVar(&c.header, "header", "", "soniox: the captured header, 'Name: value'")
	cmd.Flags().StringVar(&c.file, "file", "", "the captured body (default standard input)")
	cmd.Flags().StringVar(&c.tolerance, "tolerance", "", "how far the timestamp may be from now, such as 5m (default: the age is not checked)")
	_ = cmd.MarkFlagRequired("secret") // it is defined above
	complete(cmd, "file", completeFiles)
	complete(cmd, "tolerance", completeDurations)
	return cmd
}

// A capture is a captured request, as the flags describe it.
type capture struct {
	provider, secret, signature, timestamp, header, file, tolerance string
}

// check returns an error for flags that exclude each other, before the body is read, and
// returns the tolerance, or 0 if the age is not checked.
func (c capture) check() (tolerance time.Duration, err error) {
	switch c.provider {
	case "soapnoteapi":
		if c.header != "" {
			return 0, errors.New("--header is for soniox; SOAPNoteAPI's requests are verified with --signature and --timestamp")
		}
		if c.signature == "" || c.timestamp == "" {
			return 0, errors.New("--signature and --timestamp are needed: the values of the two headers of the request")
		}
	case "soniox":
		if c.signature != "" || c.timestamp != "" || c.tolerance != "" {
			return 0, errors.New("--signature, --timestamp and --tolerance are for soapnoteapi; Soniox's requests are verified with --header 'Name: value'")
		}
	default:
		return 0, fmt.Errorf("unknown provider %q; it is soapnoteapi or soniox", c.provider)
	}
	if c.tolerance == "" {
		return 0, nil
	}
	tolerance, err = caddy.ParseDuration(c.tolerance)
	if err != nil || tolerance <= 0 {
		return 0, errors.New("--tolerance must be a duration above zero, as in 5m, 1h or 7d")
	}
	return tolerance, nil
}

// judgeSOAPNoteAPI verifies a request as the gateway does. Without a tolerance it does so
// at the time of the request's own timestamp.
func judgeSOAPNoteAPI(secret, signature, timestamp string, body []byte, tolerance time.Duration, now time.Time) judgement {
	var j judgement
	at := now
	if second, err := strconv.ParseInt(timestamp, 10, 64); err == nil {
		j.Age = now.Truncate(time.Second).Sub(time.Unix(second, 0)).String()
		if tolerance <= 0 {
			at = time.Unix(second, 0)
		}
	}
	p := verifier.SOAPNoteAPI{Secrets: func() []string { return []string{secret} }, Tolerance: tolerance}
	h := make(http.Header)
	h.Set(verifier.SignatureHeader, signature)
	h.Set(verifier.TimestampHeader, timestamp)
	proof, err := p.CheckHeader(h, at)
	if err == nil {
		_, err = proof.Verify(body)
	}
	if err != nil {
		j.refuse(err)
		if reason := verifier.Reason(j.Reason); reason == verifier.SignatureMismatch || reason == verifier.SignatureMalformed || reason == verifier.TimestampMalformed {
			j.Hints = p.Diagnose(signature, timestamp, body)
		}
		return j
	}
	j.accept(p, body, now)
	return j
}

func judgeSoniox(secret, header string, body []byte) (judgement, error) {
	var j judgement
	name, value, err := headerFlag(header, secretFlag)
	if err != nil {
		return j, err
	}
	p := verifier.Soniox{Header: name, Values: func() []string { return []string{secret} }}
	h := make(http.Header)
	h.Set(name, value)
	if _, err := p.CheckHeader(h, time.Now()); err != nil {
		j.refuse(err)
		j.Hints = p.Diagnose(value)
		return j, nil
	}
	j.accept(p, body, time.Now())
	return j, nil
}

func (j *judgement) refuse(err error) {
	if rejection, ok := errors.AsType[*verifier.Rejection](err); ok {
		j.Reason = string(rejection.Reason)
	}
}

func (j *judgement) accept(p verifier.Provider, body []byte, now time.Time) {
	j.Genuine, j.Payload = true, "valid"
	e, err := p.Event(verifier.Request{Source: p.Defaults().Source, Body: body, ReceivedAt: now})
	if err != nil {
		j.Payload = err.Error()
		return
	}
	j.EventID = e.ID
}

func (j *judgement) print(cmd *cobra.Command) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd, j); err != nil {
			return err
		}
	} else {
		t := terminal.NewTable(cmd.OutOrStdout())
		t.Row(terminal.Text("genuine"), terminal.Text(yesNo(j.Genuine)).Paint(terminal.Green, j.Genuine).Paint(terminal.Red, !j.Genuine))
		for _, line := range [][2]string{{"reason", j.Reason}, {"age", j.Age}, {"payload", j.Payload}, {"id", j.EventID}} {
			if line[1] != "" {
				t.Row(terminal.Text(line[0]), terminal.Text(line[1]))
			}
		}
		for _, hint := range j.Hints {
			t.Row(terminal.Text("hint"), terminal.Text(hint))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if !j.Genuine {
		return errNotDone
	}
	return nil
}
