package forwarder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
)

// The errors of a request without a status. The texts of net/http quote what the
// upstream sent, so once there is a connection, only errors from below HTTP are
// wrapped.
var (
	errRequest  = fmt.Errorf("%w: the event and the upstream's URL do not make a valid HTTP request", ErrInternal)
	errClosed   = errors.New("the upstream closed the connection before a final status")
	errProtocol = errors.New("the answer is not valid HTTP, or its header is longer than 32 KiB")
)

// A stage is how far a request got.
type stage int

const (
	unsent     stage = iota // it has not asked for a connection
	connecting              // it waits for a connection
	onNewConn               // it has a connection on which nothing was answered yet
	onKeptConn              // it has a connection on which another request was answered
	answered                // the first byte of its answer is there
)

// A Progress records how far a Sender's request got. The zero value is a request that
// was not sent.
type Progress struct {
	mu    sync.Mutex
	stage stage
	had   bool     // a connection, at any time
	conn  net.Conn // the newest one
}

// Trace returns the hooks that follow a request, for its context.
func (p *Progress) Trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { p.enter(connecting) },
		GotConn:              p.gotConn,
		GotFirstResponseByte: p.gotAnswer,
	}
}

func (p *Progress) enter(s stage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage = s
}

func (p *Progress) gotConn(info httptrace.GotConnInfo) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.had, p.conn, p.stage = true, info.Conn, onNewConn
	// To requests that share a new HTTP/2 connection, net/http says that it is
	// reused, although none of them has been answered yet.
	kept := info.Reused
	if conn := connOf(info.Conn); conn != nil {
		kept = conn.answered.Load()
	}
	if kept {
		p.stage = onKeptConn
	}
}

func (p *Progress) gotAnswer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stage = answered
	if conn := connOf(p.conn); conn != nil {
		conn.answered.Store(true)
	}
}

// reached returns the stage, and whether the request had a connection at any time.
func (p *Progress) reached() (s stage, had bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stage, p.had
}

// Tried reports whether the request asked for a connection.
func (p *Progress) Tried() bool {
	s, _ := p.reached()
	return s != unsent
}

// Connecting reports whether the request asked for a connection and has none.
func (p *Progress) Connecting() bool {
	s, _ := p.reached()
	return s == connecting
}

// ended reports whether the upstream is known to have ended the newest connection.
func (p *Progress) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn := connOf(p.conn)
	return conn != nil && conn.ended.Load()
}

// isClosed reports whether err says that a connection was closed. net/http exports
// no such errors of HTTP/2, but all of them have the same prefix.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.HasPrefix(err.Error(), "http2: client conn")
}

// SendError returns the Sender's error for a request that failed with err.
//
// It is an ErrConnect if the request never had a connection. It is an ErrUnanswered
// if a new connection ended before a byte of the answer, or if a connection was lost
// and the next one could not be made: then the upstream may have seen the event, and
// may have crashed on it.
func SendError(ctx context.Context, err error, p *Progress) error {
	s, had := p.reached()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case s == connecting && !had:
		return fmt.Errorf("%w: %w", ErrConnect, err)
	case s == connecting:
		return fmt.Errorf("%w, and a new connection could not be made: %w", ErrUnanswered, err)
	case ctx.Err() != nil:
		return err
	case s == unsent:
		return errRequest
	}
	ended := s != answered && p.ended()
	cause := errProtocol
	if beneath, ok := errors.AsType[*net.OpError](err); ok {
		cause, ended = beneath, true
	} else if ended || isClosed(err) {
		cause, ended = errClosed, true
	}
	if ended && s == onNewConn {
		return fmt.Errorf("%w: %w", ErrUnanswered, cause)
	}
	return cause
}
