package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

// An adminClient calls the admin API of the running server, over one connection.
type adminClient struct {
	address string
	base    string // the beginning of URLs
	origin  string // the Origin header, for servers that enforce one; may be empty
	client  http.Client

	patience time.Duration // how long an answer may take, except that of long work
}

// defaultPatience is how long the server may take to answer. Reading from a slow disk
// takes time.
const defaultPatience = 30 * time.Second

var errSilent = errors.New("the admin API does not answer")

func newAdminClient(cmd *cobra.Command) (*adminClient, error) {
	written, address, err := adminAddress(cmd)
	if err != nil {
		return nil, err
	}
	c := &adminClient{address: written, base: "http://" + address.JoinHostPort(0), patience: defaultPatience}
	if address.IsUnixNetwork() {
		c.base = "http://127.0.0.1" // the host that Caddy expects on a socket
	} else {
		c.origin = c.base
	}
	c.client.Transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, address.Network, address.JoinHostPort(0))
		},
	}
	return c, nil
}

func (c *adminClient) close() { c.client.CloseIdleConnections() }

// ask calls the admin API once.
func ask(cmd *cobra.Command, route admin.Route, answer any) error {
	c, err := newAdminClient(cmd)
	if err != nil {
		return err
	}
	defer c.close()
	return c.ask(cmd.Context(), route, answer)
}

// ask sends a request and decodes the answer. If the server refuses the request, it
// returns an admin.Error.
func (c *adminClient) ask(ctx context.Context, route admin.Route, answer any) error {
	return c.askFor(ctx, route, nil, answer)
}

// askFor is ask with a body.
func (c *adminClient) askFor(ctx context.Context, route admin.Route, body, answer any) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.patience, errSilent)
	defer cancel()
	err := c.request(ctx, route, body, "", func(resp *http.Response) error {
		if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
			return fmt.Errorf("reading the admin API's answer: %w", err)
		}
		_, _ = io.Copy(io.Discard, resp.Body) // or the connection could not be used again
		return nil
	})
	if err != nil && errors.Is(context.Cause(ctx), errSilent) {
		return fmt.Errorf("the admin API at %s did not answer within %s: Caddy hangs or has too much to do, or it is not Caddy that listens there", c.address, c.patience)
	}
	return err
}

// work requests work that may take long, and calls report with its progress.
func (c *adminClient) work(ctx context.Context, route admin.Route, body, answer any, report func(admin.Progress)) error {
	return c.request(ctx, route, body, admin.LinesType, func(resp *http.Response) error {
		for lines := json.NewDecoder(resp.Body); ; {
			var line json.RawMessage
			if err := lines.Decode(&line); err != nil {
				return fmt.Errorf(stoppedEarly, c.address, err)
			}
			var part struct {
				Progress *admin.Progress `json:"progress"`
				admin.ErrorBody
			}
			switch err := json.Unmarshal(line, &part); {
			case err != nil:
				return fmt.Errorf("reading the admin API's answer: %w", err)
			case part.Error != "":
				return admin.Error{Status: http.StatusInternalServerError, Text: part.Error}
			case part.Progress != nil:
				report(*part.Progress)
			default:
				return json.Unmarshal(line, answer)
			}
		}
	})
}

// stoppedEarly is the error of an answer that ends before the work is done.
const stoppedEarly = "the admin API at %s stopped before the work was done: %w; see its log"

// download requests bytes, and copies them to a writer. It returns the answer's
// header.
func (c *adminClient) download(ctx context.Context, route admin.Route, to io.Writer) (header http.Header, err error) {
	err = c.request(ctx, route, nil, admin.BytesType, func(resp *http.Response) error {
		header = resp.Header
		from := &failingReader{r: resp.Body}
		_, err := io.Copy(to, from)
		if from.err != nil {
			return fmt.Errorf(stoppedEarly, c.address, from.err)
		}
		return err
	})
	return header, err
}

// A failingReader keeps the error of a reader, so that io.Copy's error of the reader
// is not confused with that of the writer.
type failingReader struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (f *failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// request sends a request, and calls read with an answer of the kind that it accepts,
// or in JSON.
func (c *adminClient) request(ctx context.Context, route admin.Route, body any, accept string, read func(*http.Response) error) error {
	r, err := c.newRequest(ctx, route, body)
	if err != nil {
		return fmt.Errorf("making a request to the admin API: %w", err)
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // the URL adds nothing to the address
		}
		if errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("asking the admin API at %s: %w; run it as a user who may use it", c.address, err)
		}
		return fmt.Errorf("asking the admin API at %s: %w; is Caddy running there? set --address or --config to its admin API", c.address, err)
	}
	defer func() { _ = resp.Body.Close() }()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")) // without a type it is not Scribegate
	accepted := kind == "application/json" && accept != admin.BytesType || kind != "" && kind == accept
	if resp.StatusCode != http.StatusOK || !accepted {
		return c.refusal(resp)
	}
	return read(resp)
}

func (c *adminClient) newRequest(ctx context.Context, route admin.Route, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(ctx, route.Method, c.base+admin.Prefix+route.Path, content)
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.origin != "" {
		r.Header.Set("Origin", c.origin)
	}
	return r, nil
}

// maxRefusal bounds the text of an error that is read, in bytes.
const maxRefusal = 1 << 20

// refusal returns the error in an answer other than the requested one.
func (c *adminClient) refusal(resp *http.Response) error {
	var answer struct {
		admin.ErrorBody
		admin.Health // of a probe
	}
	err := json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&answer)
	if text := answer.ErrorBody.Error + answer.Reason; err == nil && text != "" {
		return admin.Error{Status: resp.StatusCode, Text: text}
	}
	return admin.Error{Status: resp.StatusCode, Text: fmt.Sprintf(
		"the server at %s, which answered with status %d, is not the admin API of a Caddy with Scribegate; set --address or --config", c.address, resp.StatusCode)}
}

// advised adds advice to an error that the server returned.
func advised(err error) error {
	refused, ok := errors.AsType[admin.Error](err)
	if !ok {
		return err
	}
	switch {
	case refused.Status == http.StatusNotFound && strings.HasSuffix(refused.Text, "no such event"):
		refused.Text += "; `caddy scribegate events` lists the stored events"
	case refused.Status == http.StatusConflict && strings.Contains(refused.Text, "no longer kept"):
		refused.Text += "; it is deleted with the last delivery, unless keep_delivered delays that"
	}
	return refused
}
