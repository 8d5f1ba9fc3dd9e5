package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	rounds   = 3      // how many slices there are of each kind
	maxSlice = 50_000 // deliveries
)

// pinned stores a backlog, and delivers it in slices, alternately without and with a transaction
// of somebody else that lasts for the slice.
func pinned(ctx context.Context, w *watcher, waiting int) error {
	l := &load{}
	var wg sync.WaitGroup
	began := time.Now()
	for i := range storers {
		wg.Go(func() {
			for n := i; n < waiting && ctx.Err() == nil; n += storers {
				l.store(ctx, w.queue, newEvent("pinned", n))
			}
		})
	}
	wg.Wait()
	if n := l.stored.Load(); n != int64(waiting) {
		return fmt.Errorf("%d of %d events were stored", n, waiting)
	}
	fmt.Printf("%d events were stored in %s\n", waiting, time.Since(began).Round(time.Second))
	slice := min(waiting/(2*rounds+1), maxSlice)
	var free, held []float64
	if _, err := claimSome(ctx, w.queue, slice/2); err != nil { // to warm up
		return err
	}
	for range rounds {
		rate, err := claimSome(ctx, w.queue, slice)
		if err != nil {
			return err
		}
		free = append(free, rate)
		err = w.server.Query(func(_ context.Context, c *pgx.Conn) error {
			tx, err := c.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, `SELECT count(*) FROM scribegate.meta`); err != nil {
				return err
			}
			if rate, err = claimSome(ctx, w.queue, slice); err != nil {
				return err
			}
			if err := w.printSizes(ctx); err != nil {
				return err
			}
			return tx.Rollback(ctx)
		})
		if err != nil {
			return err
		}
		held = append(held, rate)
		fmt.Printf("%d deliveries: %.0f/s without and %.0f/s with a long transaction\n", slice, free[len(free)-1], rate)
	}
	slices.Sort(free)
	slices.Sort(held)
	fmt.Printf("medians: %.0f/s without, %.0f/s with, ratio %.2f\n", free[rounds/2], held[rounds/2], held[rounds/2]/free[rounds/2])
	return nil
}

// claimSome claims, loads and settles n deliveries, and returns how many in a second.
func claimSome(ctx context.Context, q queue.Queue, n int) (rate float64, err error) {
	began := time.Now()
	for done := 0; done < n; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		c, err := q.Claim(upstream, time.Now(), queue.Want{First: claimAtOnce})
		if err != nil {
			return 0, err
		}
		if len(c.Deliveries) == 0 { // too many outcomes wait
			time.Sleep(time.Millisecond)
		}
		for _, d := range c.Deliveries {
			if _, err := q.Load(d); err != nil {
				return 0, err
			}
			q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
		}
		done += len(c.Deliveries)
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
