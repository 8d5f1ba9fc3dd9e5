package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A listedEvent is an event in the admin API's list.
type listedEvent struct {
	ID         string `json:"id"`
	Deliveries []struct {
		Upstream string `json:"upstream"`
		State    string `json:"state"`
		Attempts int    `json:"attempts"`
	} `json:"deliveries"`
}

// eachEvent calls look for each event that the gateway lists, newest first, until look returns an
// error. filters are parameters such as "state=pending&upstream=ehr".
func (r *rig) eachEvent(ctx context.Context, filters string, look func(listedEvent) error) error {
	for cursor := ""; ; {
		var page struct {
			Events     []listedEvent `json:"events"`
			NextCursor string        `json:"next_cursor"`
		}
		path := "/scribegate/events?limit=1000&" + filters
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		if err := r.call(ctx, http.MethodGet, path, "", "", &page); err != nil {
			return fmt.Errorf("listing events: %w", err)
		}
		for _, event := range page.Events {
			if err := look(event); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			return nil
		}
	}
}

// collect makes the gateway run a garbage collection.
func (r *rig) collect(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.admin+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return fmt.Errorf("running the gateway's garbage collection: %w", err)
	}
	request.Close = true
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("running the gateway's garbage collection: %w", err)
	}
	return resp.Body.Close()
}

// only returns an error if a request had another outcome than these.
func (b *book) only(outcomes ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for outcome, n := range b.outcomes {
		if !slices.Contains(outcomes, outcome) {
			return fmt.Errorf("unexpected outcomes of requests: %s × %d", outcome, n)
		}
	}
	return nil
}
