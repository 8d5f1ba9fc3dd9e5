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

// rejectionLimit is the maximum time of an answer 503: the 8 s that an event waits for space, and a
// reserve for a busy machine.
const rejectionLimit = 10 * time.Second

// expectRejected sends an event that must be answered with 503, and returns the time of the answer.
func (c *smallDisk) expectRejected(ctx context.Context, p post) (time.Duration, error) {
	return expectRejected(ctx, c.rig, p)
}

func expectRejected(ctx context.Context, r *rig, p post) (time.Duration, error) {
	request, err := sender.SOAPNoteAPI(ctx, r.url()+p.path, r.secrets.soapnote, p.body, time.Now())
	if err != nil {
		return 0, err
	}
	request.Close = true
	began := time.Now()
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("sending an event that must be rejected: %w", err)
	}
	defer resp.Body.Close()
	took := time.Since(began)
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return took, fmt.Errorf("sending an event that must be rejected: %w", err)
	}
	var answer sender.Answer
	if err := json.Unmarshal(body, &answer); err != nil {
		return took, fmt.Errorf("sending an event that must be rejected: reading the answer: %w", err)
	}
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || answer.Error != "temporarily unavailable" {
		return took, fmt.Errorf("an event that must be rejected was answered %d %s, Retry-After %q, want 503 with Retry-After", resp.StatusCode, body, resp.Header.Get("Retry-After"))
	}
	if took > rejectionLimit {
		return took, fmt.Errorf("an event that must be rejected was answered only after %s", took)
	}
	return took, nil
}

// expect sends an event that must be acknowledged, as a duplicate if again is set, and records it in
// the book.
func (c *smallDisk) expect(ctx context.Context, p post, again bool) (sender.Answer, error) {
	return expect(ctx, c.rig, c.book, p, again)
}

func expect(ctx context.Context, r *rig, b *book, p post, again bool) (sender.Answer, error) {
	f := r.fleet()
	c := f.connect()
	defer c.close()
	began := time.Now()
	answer, outcome := f.send(ctx, c, p)
	if !acknowledged(answer) {
		return answer, fmt.Errorf("sending an event that must be acknowledged: %s", outcome)
	}
	if answer.Duplicate != again {
		return answer, fmt.Errorf("the answer to the event %s has duplicate %v, which is wrong", answer.ID, answer.Duplicate)
	}
	b.acknowledge(answer.ID, f.upstreams, answer.Duplicate, time.Since(began))
	return answer, nil
}
