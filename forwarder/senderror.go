package forwarder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// What can be said of a request that came to no status. net/http's own texts
// quote what the upstream sent, so after the connection only those errors are
// repeated that come from beneath HTTP.
var (
	errRequest  = errors.New("the event and the upstream's URL do not make a valid HTTP request")
	errClosed   = errors.New("the upstream closed the connection before a final status")
	errProtocol = errors.New("the upstream's answer is not valid HTTP, or its header is longer than 32 KiB")
)

// A Progress is how far a Sender's request got. The zero value got nowhere.
type Progress struct {
	tried     atomic.Bool // to get a connection
	connected atomic.Bool // with one attempt at least
}

// Trace returns the hooks that follow a request, for its context.
func (p *Progress) Trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { p.tried.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.connected.Store(true) },
	}
}

// Tried reports whether the request asked for a connection.
func (p *Progress) Tried() bool { return p.tried.Load() }

// Unconnected reports whether it asked for one and never had any.
func (p *Progress) Unconnected() bool { return p.tried.Load() && !p.connected.Load() }

// SendError is the error to return for a request that failed with err. Where no
// connection was ever had it is an ErrConnect. Where one was had, and lost, and
// the next could not be made, it is none: the upstream may have seen the event,
// and the event may be what felled it.
func SendError(ctx context.Context, err error, p *Progress) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case !p.Tried():
		return errRequest
	case p.Unconnected():
		return fmt.Errorf("%w: %w", ErrConnect, err)
	case ctx.Err() != nil:
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	}
	if beneath, ok := errors.AsType[*net.OpError](err); ok {
		return beneath
	}
	return errProtocol
}
