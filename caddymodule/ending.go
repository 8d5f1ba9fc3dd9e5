package caddymodule

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
)

const (
	// endGrace is how long Caddy has to end by itself after SIGTERM before it is
	// seen whether its log is stuck.
	endGrace = 3 * time.Second

	// endProbe is how long a line may take then to be written.
	endProbe = time.Second
)

// endDespiteLog has the process end at SIGTERM although its log is stuck: Caddy
// writes a line before it stops anything, and would wait for that for ever.
var endDespiteLog = sync.OnceFunc(func() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		time.Sleep(endGrace)
		written := make(chan struct{})
		go func() {
			logging.ProcessLog().Info("the process still waits for requests or deliveries before it ends")
			close(written)
		}()
		select {
		case <-written:
		case <-time.After(endProbe):
			gateways.Range(func(_, open any) bool {
				_ = open.(*gateway).Destruct() // what it could not close is closed by the end of the process
				return true
			})
			os.Exit(caddy.ExitCodeFailedQuit)
		}
	}()
})
