package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// A ListedEvent is an event in the admin API's list.
type ListedEvent struct {
	ID         string `json:"id"`
	Deliveries []struct {
		Upstream string `json:"upstream"`
		State    string `json:"state"`
		Attempts int    `json:"attempts"`
	} `json:"deliveries"`
}

// EachEvent calls look for each event that the gateway lists, newest first, until look returns an
// error. filters are parameters such as "state=pending&upstream=ehr".
func (r *Rig) EachEvent(ctx context.Context, filters string, look func(ListedEvent) error) error {
	for cursor := ""; ; {
		var page struct {
			Events     []ListedEvent `json:"events"`
			NextCursor string        `json:"next_cursor"`
		}
		path := "/scribegate/events?limit=1000&" + filters
		if cursor != "" {
			path += "&cursor=" + url.QueryEscape(cursor)
		}
		if err := r.Call(ctx, http.MethodGet, path, "", "", &page); err != nil {
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

// Collect makes the gateway run a garbage collection.
func (r *Rig) Collect(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Admin+"/debug/pprof/heap?gc=1", nil)
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
