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

// What can be said of a request that came to no status. net/http's own texts
// quote what the upstream sent, so after the connection only those errors are
// repeated that come from beneath HTTP.
var (
	errRequest  = fmt.Errorf("%w: the event and the upstream's URL do not make a valid HTTP request", ErrInternal)
	errClosed   = errors.New("the upstream closed the connection before a final status")
	errProtocol = errors.New("the upstream's answer is not valid HTTP, or its header is longer than 32 KiB")
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

// A Progress is how far a Sender's request got. The zero value got nowhere.
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
// no such error of HTTP/2: all of them begin alike.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.HasPrefix(err.Error(), "http2: client conn")
}

// SendError is the error to return for a request that failed with err.
//
// Where no connection was ever had it is an ErrConnect. Where a new connection
// ended before a byte of the answer it is an ErrUnanswered. So it is where a
// connection was had and lost, and the next could not be made: the upstream may
// have seen the event, and the event may be what felled it.
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
