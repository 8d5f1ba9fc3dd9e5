package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// settle must find events that a gateway acknowledges and then loses.
func TestSettleFindsLostEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fake *fake
		want table.Row
	}{
		"nothing is lost":         {&fake{}, table.Row{Acknowledged: 60, Delivered: 60}},
		"every sixth is lost":     {&fake{loseEvery: 6}, table.Row{Acknowledged: 60, Delivered: 50, Lost: 10}},
		"one is lost":             {&fake{loseEvery: 60}, table.Row{Acknowledged: 60, Delivered: 59, Lost: 1}},
		"all are delivered twice": {&fake{twice: true}, table.Row{Acknowledged: 60, Delivered: 60, Duplicated: 120}},
		"rejected at first":       {&fake{status: 503}, table.Row{Acknowledged: 60, Delivered: 60}},
		"cut at first":            {&fake{status: -1}, table.Row{Acknowledged: 60, Delivered: 60}},
		"lost after a 503":        {&fake{status: 503, loseEvery: 30}, table.Row{Acknowledged: 60, Delivered: 58, Lost: 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := newFakeRig(t, tt.fake)
			b := ledger.NewBook()
			f := r.Fleet()
			f.Senders, f.Limit, f.Again = 4, 60, true
			f.Start(t.Context(), b).Done()
			got, err := r.Settle(t.Context(), b, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("settle() = %+v, want %+v; the others: %s", got, tt.want, b.Others())
			}
		})
	}
}

func TestSettleEnds(t *testing.T) {
	t.Parallel()
	missing := func(t *testing.T) (*Rig, *ledger.Book) {
		r, _ := newFakeRig(t, &fake{})
		b := ledger.NewBook()
		b.Acknowledge("missing", nil, false, 0)
		return r, b
	}
	t.Run("the gateway ended", func(t *testing.T) {
		t.Parallel()
		r, b := missing(t)
		close(r.Proc.Ended)
		row, err := r.Settle(t.Context(), b, time.Minute)
		if err == nil || !strings.Contains(err.Error(), "the gateway ended") || row.Lost != 1 {
			t.Errorf("settle() = %+v, %v", row, err)
		}
	})
	t.Run("the time is over", func(t *testing.T) {
		t.Parallel()
		r, b := missing(t)
		over := errors.New("the time is over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, over)
		defer cancel()
		if row, err := r.Settle(ctx, b, time.Minute); !errors.Is(err, over) || row.Lost != 1 {
			t.Errorf("settle() = %+v, %v, want %v", row, err, over)
		}
	})
}
