package main

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
)

// A connection is a sender's, kept alive as long as the gateway does. It sends
// nothing twice on its own account, as http.Client may.
type connection struct {
	address  string
	patience time.Duration // for an answer

	conn net.Conn // nil where there is none
	in   *bufio.Reader
	out  *bufio.Writer
}

// do sends a request and reads the whole answer. The outcome is the status, or
// what became of the request instead.
func (c *connection) do(request *http.Request) (sender.Answer, string) {
	// Between two requests the gateway may end a connection, as any client of
	// HTTP knows; that is no request lost.
	if c.conn != nil && stale(c.conn) {
		c.close()
	}
	if c.conn == nil {
		if err := c.dial(request.Context()); err != nil {
			return sender.Answer{}, failure(err, refused)
		}
	}
	answer, keep, err := c.exchange(request)
	if err != nil || !keep {
		c.close()
	}
	if answer.Status == 0 {
		return answer, failure(err, cut)
	}
	if err != nil {
		return answer, malformed
	}
	return answer, strconv.Itoa(answer.Status)
}

func (c *connection) dial(ctx context.Context) error {
	conn, err := (&net.Dialer{Timeout: c.patience}).DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	c.conn, c.in, c.out = conn, bufio.NewReader(conn), bufio.NewWriter(conn)
	return nil
}

// exchange returns an answer without a status where none came whole.
func (c *connection) exchange(request *http.Request) (answer sender.Answer, keep bool, err error) {
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

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close() // nothing is on its way any more
		c.conn = nil
	}
}

// failure names what became of a request without an answer.
func failure(err error, otherwise string) string {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return timeout
	}
	return otherwise
}
