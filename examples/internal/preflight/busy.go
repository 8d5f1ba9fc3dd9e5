package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// patience is the maximum time for an answer.
const patience = time.Second

// listening reports whether a program listens on an address. It tries to listen without
// sharing the port, which fails if a Caddy, which shares its ports, listens there.
func listening(ctx context.Context, address string) bool {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err == nil {
		_ = l.Close() // no connection was accepted
	} else if errors.Is(err, syscall.EADDRINUSE) {
		return true
	}
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", reachable(address))
	return err == nil && conn.Close() == nil
}

// reachable returns an address to connect to, for the address of a listener.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// occupant describes the program that listens on an address, judged by its answers.
func occupant(ctx context.Context, address string) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ask := func(path string) (status int, header http.Header) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(address)+path, nil)
		if err != nil {
			return 0, nil
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			return 0, nil
		}
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header
	}
	switch status, header := ask("/scribegate/health/live"); {
	case header == nil:
		return "a program that does not answer HTTP"
	case header.Get("Server") == "Caddy":
		return "Caddy"
	case status == http.StatusOK && header.Get("Content-Type") == "application/json":
		return "the admin API of a Scribegate"
	}
	if _, header := ask("/config/"); strings.HasPrefix(header.Get("Etag"), `"/config/`) {
		return "the admin API of a Caddy"
	}
	return "a web server"
}

// occupied is a place where another program listens.
type occupied struct {
	place
	by string // the program
}

// busyError returns an error with the programs and their addresses, and a command that
// uses other addresses.
func busyError(ctx context.Context, p *plan, busy []occupied) error {
	var b strings.Builder
	b.WriteString("Another program already listens on an address of this gateway. Caddy would share the port with it, and each would answer some of the requests:\n\n")
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, o := range busy {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", o.address, o.what, o.by)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	b.WriteString("\nStop that program, or run this gateway beside it, with its own queue:\n\n  ")
	data := "" // a directory that no other gateway uses for its queue
	printed := make(map[string]bool)
	used := make(map[string]bool) // ports
	for _, place := range p.places {
		if _, port, err := net.SplitHostPort(place.address); err == nil {
			used[port] = true
		}
	}
	for _, place := range p.places {
		address, port, err := elsewhere(ctx, place.address, busy, used)
		if err != nil {
			return err
		}
		used[port] = true
		if address != place.address && !printed[place.variable] {
			printed[place.variable] = true
			fmt.Fprintf(&b, "%s=%s ", place.variable, place.with(address))
			data = cmp.Or(data, port)
		}
	}
	fmt.Fprintf(&b, "XDG_DATA_HOME=\"$PWD/.run/%s\" make run\n", data)
	return errors.New(b.String())
}

// elsewhere returns the address itself, or, if it is busy, the same host with the next port that
// is free and not used.
func elsewhere(ctx context.Context, address string, busy []occupied, used map[string]bool) (free, port string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", "", fmt.Errorf("reading the address %s: %w", address, err)
	}
	inUse := false
	for _, o := range busy {
		inUse = inUse || o.address == address
	}
	if !inUse {
		return address, port, nil
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		return "", "", fmt.Errorf("reading the port of %s: %w", address, err)
	}
	for next := number + 1; next < number+100; next++ {
		port = strconv.Itoa(next)
		if free = net.JoinHostPort(host, port); !used[port] && !listening(ctx, free) {
			return free, port, nil
		}
	}
	return "", "", fmt.Errorf("no port from %d to %d is free", number, number+99)
}
