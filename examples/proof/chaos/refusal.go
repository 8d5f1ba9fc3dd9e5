package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// refusalLimit is how long a refusal may take: the 8 s that an event waits for
// room, and something for a busy machine.
const refusalLimit = 10 * time.Second

// refusal sends an event that has to be answered with 503, and returns how long
// that took.
func (c *cramped) refusal(ctx context.Context, p post) (time.Duration, error) {
	return refuse(ctx, c.rig, p)
}

func refuse(ctx context.Context, r *rig, p post) (time.Duration, error) {
	request, err := sender.SOAPNoteAPI(ctx, r.url()+p.path, r.secrets.soapnote, p.body, time.Now())
	if err != nil {
		return 0, err
	}
	request.Close = true
	began := time.Now()
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("sending an event for which there is no room: %w", err)
	}
	defer resp.Body.Close()
	took := time.Since(began)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return took, fmt.Errorf("sending an event for which there is no room: %w", err)
	}
	var answer sender.Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		return took, fmt.Errorf("sending an event for which there is no room: reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || answer.Error != "temporarily unavailable" {
		return took, fmt.Errorf("an event for which there is no room was answered %d %s, Retry-After %q", resp.StatusCode, body, resp.Header.Get("Retry-After"))
	}
	if took > refusalLimit {
		return took, fmt.Errorf("an event for which there is no room was answered after %s", took)
	}
	return took, nil
}

// expect sends an event that has to be taken, as a new one or as a duplicate,
// and enters it into the book.
func (c *cramped) expect(ctx context.Context, p post, again bool) (sender.Answer, error) {
	return expect(ctx, c.rig, c.book, p, again)
}

func expect(ctx context.Context, r *rig, b *book, p post, again bool) (sender.Answer, error) {
	f := r.fleet()
	c := f.connect()
	defer c.close()
	began := time.Now()
	answer, outcome := f.send(ctx, c, p)
	if !acknowledged(answer) {
		return answer, fmt.Errorf("sending an event that has to be taken: %s", outcome)
	}
	if answer.Duplicate != again {
		return answer, fmt.Errorf("the event %s was answered with duplicate %v, which is wrong", answer.ID, answer.Duplicate)
	}
	b.acknowledge(answer.ID, f.upstreams, answer.Duplicate, time.Since(began))
	return answer, nil
}
