//go:build examples

package systemd_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"
)

// TestRestart holds the port as scribegate.socket does, with the change of the chapter in the
// Caddyfile, and sends notes after the gateway has ended. The next gateway answers each 200.
func TestRestart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Minute, errors.New("2 minutes are over"))
	t.Cleanup(cancel)
	change := regexp.MustCompile("(?s)```\n(auto_https[^\n]*\n)(bind .*?)```").FindStringSubmatch(read(t, "README.md"))
	if change == nil {
		t.Fatal("the chapter has no change of the Caddyfile for the socket")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	must(t, err)
	defer file.Close()
	address := "http://" + listener.Addr().String()
	s := newSite(ctx, t, "\tscribegate {", "\t"+change[1]+"\tscribegate {", "hooks.example.com {", "http://127.0.0.1 {\n"+change[2])

	gateway := s.start(ctx, t, []*os.File{file}, s.binary)
	for restart := range 3 {
		must(t, gateway.Stop())
		var sent sync.WaitGroup
		for i := range 4 {
			sent.Go(func() {
				answer, err := send(ctx, t, address, fmt.Sprint("note-", restart, "-", i))
				if err != nil || answer.Status != http.StatusOK {
					t.Errorf("a note while nobody listens is answered %+v, %v, want 200", answer, err)
				}
			})
		}
		gateway = s.start(ctx, t, []*os.File{file}, s.binary)
		sent.Wait()
	}
	must(t, gateway.Stop())
}
