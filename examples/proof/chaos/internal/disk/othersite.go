package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// An otherSite is a site of the same Caddy that does not use the queue. It is requested all the time.
type otherSite struct {
	address string
	client  *http.Client
	cancel  context.CancelFunc
	work    sync.WaitGroup

	mu      sync.Mutex
	asked   int
	failed  int
	failure error // the last one
	slowest time.Duration
}

const (
	siteAnswer  = "all is well here"
	siteEvery   = 50 * time.Millisecond
	siteTimeout = 5 * time.Second
)

// newOtherSite returns a site on a free port, and starts to send requests to it. Failures count after the first
// answer. The caller must close it.
func newOtherSite(ctx context.Context) (*otherSite, error) {
	ports, err := stage.Ports(ctx, 1)
	if err != nil {
		return nil, err
	}
	s := &otherSite{address: "127.0.0.1:" + ports[0], client: &http.Client{Transport: &http.Transport{}, Timeout: siteTimeout}}
	ctx, s.cancel = context.WithCancel(ctx)
	s.work.Go(func() { s.ask(ctx) })
	return s, nil
}

// caddyfile returns the site's block.
func (s *otherSite) caddyfile() string {
	return fmt.Sprintf("\nhttp://%s {\n\trespond %q\n}\n", s.address, siteAnswer)
}

func (s *otherSite) ask(ctx context.Context) {
	tick := time.NewTicker(siteEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		err := s.once(ctx)
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		if err == nil {
			s.asked++
			s.slowest = max(s.slowest, time.Since(began))
		} else if s.asked > 0 && !errors.Is(err, errNobody) {
			s.failed++
			s.failure = err
		}
		s.mu.Unlock()
	}
}

// errNobody means that no program listens, as between a kill and a start.
var errNobody = errors.New("no program listens")

func (s *otherSite) once(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address, nil)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(request)
	if err != nil && ctx.Err() == nil && !isTimeout(err) {
		return errNobody
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != siteAnswer {
		return errors.Join(err, fmt.Errorf("the other site answered %d %q", resp.StatusCode, body))
	}
	return nil
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func (s *otherSite) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("%s answers, slowest %s", table.Thousands(s.asked), table.Milliseconds(s.slowest))
}

// wrong returns an error if the site has not answered a request.
func (s *otherSite) wrong() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed > 0 || s.asked == 0 {
		return fmt.Errorf("the other site failed %d times and answered %d times: %w", s.failed, s.asked, s.failure)
	}
	return nil
}

func (s *otherSite) close() {
	s.cancel()
	s.work.Wait()
	s.client.CloseIdleConnections()
}
