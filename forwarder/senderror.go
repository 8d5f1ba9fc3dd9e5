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

// A progress is how far a request got. The zero value got nowhere.
type progress struct {
	tried     atomic.Bool // to get a connection
	connected atomic.Bool // with one attempt at least
}

func (p *progress) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { p.tried.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { p.connected.Store(true) },
	}
}

// sendError is the error to return for a request that failed with err. Where no
// connection was ever had it is an ErrConnect. Where one was had, and lost, and
// the next could not be made, it is none: the upstream may have seen the event,
// and the event may be what felled it.
func sendError(ctx context.Context, err error, p *progress) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case !p.tried.Load():
		return errRequest
	case !p.connected.Load():
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
