package results

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
	"github.com/scribegate/scribegate/forwarder/result/recovery"
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
	count := time.NewTimer(0)
	defer count.Stop()
	look := time.NewTimer(0)
	defer look.Stop()
	if reconcile <= 0 {
		look.Stop()
	}
	r := recovery.Reconciler{API: s.Client, WebhookURL: s.WebhookURL, Events: s.events(store, ByReconcile)}
	for {
		select {
		case <-ctx.Done():
			return
		case <-count.C:
			s.count(ctx, source, logger)
			count.Reset(countInterval)
		case <-look.C:
			r.Retention = store.HistoryRetention()
			taken, err := r.Look(ctx)
			for range taken {
				metrics.Reconciled("soniox")
			}
			if len(taken) > 0 {
				logger.Warn("transcriptions were found whose webhook never arrived, and their events are stored", zap.Int("transcriptions", len(taken)), zap.Strings("ids", taken))
			}
			if err != nil && ctx.Err() == nil {
				logger.Error("missed webhooks could not be looked for; the search is repeated at the next interval", zap.Error(err))
			}
			look.Reset(reconcile)
		}
	}
}

// count records what the account stores.
func (s Soniox) count(ctx context.Context, source string, logger *zap.Logger) {
	ctx, cancel := context.WithTimeout(ctx, countTimeout)
	defer cancel()
	n, err := s.Client.Count(ctx)
	if err != nil {
		metrics.ForgetProviderStored("soniox", source)
		logger.Debug("the numbers of stored transcriptions and files could not be read", zap.Error(err))
		return
	}
	metrics.ProviderStored("soniox", source, "transcriptions", n.Transcriptions)
	metrics.ProviderStored("soniox", source, "files", n.Files)
}
