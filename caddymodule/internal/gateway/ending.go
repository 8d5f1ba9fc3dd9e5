package gateway

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
	// endDelay is how long after the start SIGTERM is left to Caddy. Caddy registers its
	// handler in a goroutine of its own: a signal that came before would end the process,
	// and would be lost if this package were the only one that receives it.
	endDelay = 250 * time.Millisecond

	// endGrace is how long Caddy has to end by itself after SIGTERM before its log is
	// checked.
	endGrace = 3 * time.Second

	// endProbe is how long a line may take then to be written before the log counts as stuck.
	endProbe = time.Second
)

// EndDespiteLog makes the process end at SIGTERM even if its log is stuck: Caddy writes a
// line before it stops anything, and would wait for that forever.
var EndDespiteLog = sync.OnceFunc(func() {
	go func() {
		time.Sleep(endDelay)
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
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
				_ = open.(*Gateway).Destruct() // what it could not close is closed by the end of the process
				return true
			})
			os.Exit(caddy.ExitCodeFailedQuit)
		}
	}()
})
