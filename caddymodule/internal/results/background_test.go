package results

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// patience bounds the wait for the background.
const patience = 20 * time.Second

// runBackground runs the background until the function that it returns is called.
func runBackground(t *testing.T, s Soniox, source string, reconcile time.Duration, store Store, o *Observer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.Background(ctx, source, reconcile, store, o.Logger)
	}()
	stop = func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the background did not end with its context")
		}
	}
	t.Cleanup(stop)
	return stop
}

// eventually waits until a condition is true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// The background counts what the account stores. The numbers are gone when it ends.
func TestBackgroundCounts(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	s, source := newSoniox(t, url), newName()
	for range 3 {
		addMissed(providers, time.Hour)
	}
	providers.AddFile(standin.File{})
	o, log, _ := observed()
	store := new(fakeStore)
	stop := runBackground(t, s, source, 0, store, o)
	eventually(t, "the counts", func() bool { return len(series(t, source)) == 2 })
	wantSeries(t, source, map[string]float64{"provider_stored transcriptions soniox": 3, "provider_stored files soniox": 1})
	stop()
	wantSeries(t, source, map[string]float64{})
	if taken := store.takenNow(); len(taken) > 0 || log.Len() > 0 {
		t.Errorf("without reconcile it stored %q and logged %+v", taken, linesOf(log))
	}
}

// The background counts again every few minutes. Connections are not kept here: in a bubble
// of synctest, time stands still while one is read.
func TestBackgroundCountsAgain(t *testing.T) {
	t.Parallel()
	providers := standin.New(standin.Options{})
	api := httptest.NewUnstartedServer(providers)
	api.Config.SetKeepAlivesEnabled(false)
	api.Start()
	t.Cleanup(func() {
		providers.Close()
		api.Close()
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSoniox(t, api.URL)
		o, _, _ := observed()
		stop := runBackground(t, s, newName(), 0, new(fakeStore), o)
		elapse(time.Second)
		for want := 1; want <= 3; want++ {
			elapse(time.Millisecond)
			if n := providers.Count(standin.CountTranscriptions); n != want {
				t.Errorf("%d counts, want %d", n, want)
			}
			elapse(countInterval)
		}
		stop()
	})
}

// If the account cannot be counted, the numbers stay as they were. A key that the API refuses
// is reported, once.
func TestBackgroundKeepsCounts(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	s, source := newSoniox(t, url), newName()
	addMissed(providers, time.Hour)
	o, log, _ := observed()
	c := counter{api: s, source: source, logger: o.Logger}
	c.count(t.Context())
	want := map[string]float64{"provider_stored transcriptions soniox": 1, "provider_stored files soniox": 0}
	wantSeries(t, source, want)
	providers.Fail(standin.CountTranscriptions, standin.Fault{Status: http.StatusServiceUnavailable, Times: 1})
	providers.Fail(standin.CountTranscriptions, standin.Fault{Status: http.StatusForbidden, Times: 2})
	for range 4 {
		c.count(t.Context())
		wantSeries(t, source, want)
	}
	var levels []string
	for _, line := range linesOf(log) {
		levels = append(levels, line.level)
	}
	if !slices.Equal(levels, []string{"debug", "error", "debug"}) {
		t.Errorf("the log has %+v, want the refused key as the only error", linesOf(log))
	}
}

// The background looks at its start and at each interval. A look that fails is repeated.
func TestBackgroundReconciles(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	s := newSoniox(t, url)
	before := series(t, "soniox")["reconciled_total"]
	first := addMissed(providers, time.Hour)
	addMissed(providers, 73*time.Hour) // the store would not know whether it was delivered
	store := new(fakeStore)
	o, log, _ := observed()
	stop := runBackground(t, s, newName(), 2*time.Millisecond, store, o)
	eventually(t, "the first one", func() bool { return len(store.takenNow()) == 1 })

	providers.Fail(standin.ListTranscriptions, standin.Fault{Status: http.StatusServiceUnavailable, Times: 2})
	failed := func() bool {
		return slices.ContainsFunc(linesOf(log), func(l line) bool {
			return l.level == "error" && l.text == "the search for missed webhooks failed and is repeated at the next interval"
		})
	}
	eventually(t, "a look that fails", failed)
	second := addMissed(providers, time.Minute)
	eventually(t, "the second one", func() bool { return len(store.takenNow()) == 2 })
	stop()

	if want := []string{first + " by reconcile", second + " by reconcile"}; !slices.Equal(store.takenNow(), want) {
		t.Errorf("stored %q, want %q", store.takenNow(), want)
	}
	if n := series(t, "soniox")["reconciled_total"] - before; n != 2 {
		t.Errorf("reconciled_total rose by %v, want 2", n)
	}
	var found []any
	for _, l := range linesOf(log) {
		if l.level == "warn" && strings.HasPrefix(l.text, "transcriptions were found whose webhook never arrived") {
			found = append(found, l.fields["transcriptions"])
		}
		if l.fields["provider"] != "soniox" || l.fields["source"] == nil {
			t.Errorf("a line without the API: %+v", l)
		}
	}
	if want := []any{int64(1), int64(1)}; !slices.Equal(found, want) {
		t.Errorf("the lines about what was found have the numbers %v, want %v", found, want)
	}
}

// A request that hangs does not delay the end, and is not a failure then.
func TestBackgroundEnds(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	providers.Fail(standin.ListTranscriptions, standin.Fault{Hang: true})
	s, source := newSoniox(t, url), newName()
	o, log, _ := observed()
	stop := runBackground(t, s, source, time.Hour, new(fakeStore), o)
	eventually(t, "the request", func() bool { return providers.Count(standin.ListTranscriptions) > 0 })
	stop()
	for _, l := range linesOf(log) {
		if l.level == "error" {
			t.Errorf("logged %+v", l)
		}
	}
	wantSeries(t, source, map[string]float64{})
}
