package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

type options struct {
	duration, history, every time.Duration
	rate, waiting            int
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "for", time.Hour, "how long events are stored")
	flag.DurationVar(&o.history, "history", 10*time.Minute, "how long traces are kept")
	flag.DurationVar(&o.every, "every", 5*time.Minute, "how often the table is printed")
	flag.IntVar(&o.rate, "rate", 1000, "events in a second")
	flag.IntVar(&o.waiting, "waiting", 0, "measure with so many waiting deliveries and a long transaction instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	server, err := pgtest.Start(pgtest.Options{Durable: true})
	if err != nil {
		return err
	}
	defer server.Stop()
	settings := queue.DefaultSettings()
	if o.waiting == 0 {
		settings.HistoryRetention, settings.DedupeWindow, settings.DeadRetention = o.history, o.history*3/2, o.history*2
	}
	settings.MaxSize = 0
	var failed error
	q, err := postgresqueue.Open(postgresqueue.Options{
		DSN: server.DSN(), Keys: []seal.Key{seal.NewKey()}, Settings: settings,
		OnFailure: func(err error) {
			if err != nil {
				fmt.Println("a change could not be written:", err)
			}
		},
		OnNode: func(n postgresqueue.Notice) { fmt.Println(n.Text) },
	})
	if err != nil {
		return err
	}
	defer q.Close()
	if err := q.Unavailable(); err != nil {
		return err
	}
	fmt.Printf("PostgreSQL %s, fsync on\n", server.Version)
	w := &watcher{server: server, queue: q}
	if o.waiting > 0 {
		failed = pinned(ctx, w, o.waiting)
	} else {
		failed = soak(ctx, w, o)
	}
	return failed
}
