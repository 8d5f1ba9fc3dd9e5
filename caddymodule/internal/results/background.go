package results

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/forwarder/result/recovery"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

const (
	// countInterval is the time between two requests for what the account stores.
	countInterval = 5 * time.Minute

	// countTimeout bounds such a request, with its wait for api_rate.
	countTimeout = 4 * time.Minute
)

// ByReconcile is who requested an event that reconcile found, in the audit trail.
const ByReconcile = "reconcile"

// Background looks for missed results and counts what the account stores, until ctx ends.
// reconcile is the time between two looks; 0 never looks.
func (s Soniox) Background(ctx context.Context, source string, reconcile time.Duration, store Store, logger *zap.Logger) {
	logger = logger.With(zap.String("provider", "soniox"), zap.String("source", source))
	defer metrics.ForgetProviderStored("soniox", source)
	var wait sync.WaitGroup
	defer wait.Wait()
	c := counter{api: s, source: source, logger: logger}
	wait.Go(func() {
		every(ctx, countInterval, func() { c.count(ctx) })
	})
	if reconcile <= 0 {
		return
	}
	r := recovery.Reconciler{API: s.Client, WebhookURL: s.WebhookURL, Events: s.events(store, ByReconcile)}
	wait.Go(func() {
		every(ctx, reconcile, func() {
			r.Retention = store.HistoryRetention()
			s.look(ctx, &r, logger)
		})
	})
}

// every calls do at once and then at each interval after do has returned, until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			do()
			timer.Reset(interval)
		}
	}
}

// look looks for missed webhooks once.
func (Soniox) look(ctx context.Context, r *recovery.Reconciler, logger *zap.Logger) {
	taken, err := r.Look(ctx)
	for range taken {
		metrics.Reconciled("soniox")
	}
	if len(taken) > 0 {
		logger.Warn("transcriptions were found whose webhook never arrived, and their events are stored now; if this repeats, check that the provider can reach the handler at its webhook_url", zap.Int("transcriptions", len(taken)))
	}
	if err != nil && ctx.Err() == nil {
		logger.Error("the search for missed webhooks failed and is repeated at the next interval", zap.Error(err))
	}
}

// A counter counts what the account stores. Since it is the first to ask, it also reports a
// key that the API refuses, when the configuration is loaded.
type counter struct {
	api     Soniox
	source  string
	logger  *zap.Logger
	refused bool // and reported
}

// count counts once. After a failure the numbers stay as they were.
func (c *counter) count(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	n, err := c.api.Client.Count(ctx)
	refused := rest.KindOf(err) == rest.Unauthorized
	switch {
	case err == nil:
		metrics.ProviderStored("soniox", c.source, "transcriptions", n.Transcriptions)
		metrics.ProviderStored("soniox", c.source, "files", n.Files)
	case refused && !c.refused:
		c.logger.Error("the provider's API rejects the api_key, so events wait; check that the key is valid and belongs to the project and to the region of api_base", zap.Error(err))
	default:
		c.logger.Debug("the numbers of stored transcriptions and files could not be read", zap.Error(err))
	}
	c.refused = refused
}
