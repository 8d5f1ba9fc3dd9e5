package forwarder

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes has a sender dial servers in memory that answer each request with 200, after
// delay.
type pipes struct {
	delay time.Duration

	mu       sync.Mutex
	requests []int // on each connection
	open     int   // connections
}

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.requests)
	p.requests = append(p.requests, 0)
	p.open++
	go p.serve(server, n)
	return client, nil
}

func (p *pipes) serve(c net.Conn, n int) {
	reader := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(reader)
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, req.Body)
		p.mu.Lock()
		p.requests[n]++
		p.mu.Unlock()
		time.Sleep(p.delay)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
	_ = c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
}

// seen returns the number of requests on each connection, and how many are open.
func (p *pipes) seen() (requests []int, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests), p.open
}

// No request goes out on a connection that was made five minutes ago or longer, and
// such a connection is closed, once what is under way on it has ended.
func TestURLSenderLeavesOldConnections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := new(pipes)
		s := newSender(t, "http://example.com", 4)
		s.template.DialContext = p.dial
		for range 12 { // in 11 minutes
			mustSend(t, s, sampleMessage(), 200)
			synctest.Wait()
			if _, open := p.seen(); open != 1 {
				t.Errorf("%d connections are open", open)
			}
			elapse(time.Minute)
		}
		if got, _ := p.seen(); !slices.Equal(got, []int{5, 5, 2}) {
			t.Errorf("requests on each connection: %v, want 5, 5 and 2", got)
		}
		s.Close()
		synctest.Wait()
	})
}

func TestURLSenderEndsWhatIsUnderWayOnAnOldConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &pipes{delay: 2 * time.Second}
		s := newSender(t, "http://example.com", 4)
		s.template.DialContext = p.dial
		slow := make(chan error, 1)
		go func() {
			a, err := s.Send(t.Context(), sampleMessage())
			if err == nil && a.Status != 200 {
				err = errProtocol
			}
			slow <- err
		}()
		elapse(time.Second)
		probe := sampleMessage()
		probe.Probe = true
		mustSend(t, s, probe, 200)
		if err := <-slow; err != nil {
			t.Errorf("what was under way when a probe began: %v", err)
		}
		synctest.Wait()
		if got, open := p.seen(); !slices.Equal(got, []int{1, 1}) || open != 1 {
			t.Errorf("requests on each connection: %v, of which %d are open; want one on each of two, and one open", got, open)
		}
		s.Close()
		synctest.Wait()
	})
}
