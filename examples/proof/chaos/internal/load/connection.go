package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
)

// A Connection is the keep-alive connection of a sender. Unlike http.Client, it never sends a request
// twice on its own.
type Connection struct {
	address  string
	patience time.Duration // maximum time for an answer

	conn net.Conn // nil if there is none
	in   *bufio.Reader
	out  *bufio.Writer
}

// url returns the URL of the gateway.
func (c *Connection) url() string { return "http://" + c.address }

// do sends a request and returns the answer. The outcome is the status, or one of the outcomes in
// package ledger.
func (c *Connection) do(request *http.Request) (sender.Answer, string) {
	// The gateway may close an idle connection. Then no request is lost.
	if c.conn != nil && stale(c.conn) {
		c.Close()
	}
	if c.conn == nil {
		if err := c.dial(request.Context()); err != nil {
			return sender.Answer{}, failure(err, ledger.Refused)
		}
	}
	answer, keep, err := c.exchange(request)
	if err != nil || !keep {
		c.Close()
	}
	if answer.Status == 0 {
		return answer, failure(err, ledger.Cut)
	}
	if err != nil {
		return answer, ledger.Malformed
	}
	return answer, strconv.Itoa(answer.Status)
}

func (c *Connection) dial(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: c.patience}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	c.conn, c.in, c.out = conn, bufio.NewReader(conn), bufio.NewWriter(conn)
	return nil
}

// exchange sends a request. If no complete answer comes, the answer has no status.
func (c *Connection) exchange(request *http.Request) (answer sender.Answer, keep bool, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(c.patience)); err != nil {
		return answer, false, err
	}
	if err := request.Write(c.out); err != nil {
		return answer, false, err
	}
	if err := c.out.Flush(); err != nil {
		return answer, false, err
	}
	resp, err := http.ReadResponse(c.in, request)
	if err != nil {
		return answer, false, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer, false, err
	}
	err = json.Unmarshal(body, &answer)
	answer.Status = resp.StatusCode
	return answer, !resp.Close, err
}

// Close closes the connection, if there is one.
func (c *Connection) Close() {
	if c.conn != nil {
		_ = c.conn.Close() // no request is in flight
		c.conn = nil
	}
}

// failure returns the outcome of a request without an answer.
func failure(err error, otherwise string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ledger.Timeout
	}
	return otherwise
}
