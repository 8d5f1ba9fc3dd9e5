package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
)

// rejectionLimit is the maximum time of an answer 503: the 8 s that an event waits for space, and a
// reserve for a busy machine.
const rejectionLimit = 10 * time.Second

// ExpectRejected sends an event that must be answered with 503, and returns the time of the answer.
func (r *Rig) ExpectRejected(ctx context.Context, p load.Post) (time.Duration, error) {
	request, err := sender.SOAPNoteAPI(ctx, r.URL()+p.Path, r.Secrets.SOAPNote, p.Body, time.Now())
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

// Expect sends an event that must be acknowledged, as a duplicate if again is set, and records it in
// the book.
func (r *Rig) Expect(ctx context.Context, b *ledger.Book, p load.Post, again bool) error {
	f := r.Fleet()
	c := f.Connect()
	defer c.Close()
	began := time.Now()
	answer, outcome := f.Send(ctx, c, p)
	if !load.Acknowledged(answer) {
		return fmt.Errorf("sending an event that must be acknowledged: %s", outcome)
	}
	if answer.Duplicate != again {
		return fmt.Errorf("the answer to the event %s has duplicate %v, which is wrong", answer.ID, answer.Duplicate)
	}
	b.Acknowledge(answer.ID, f.Upstreams, answer.Duplicate, time.Since(began))
	return nil
}

// Refuses starts the gateway, which must end with an error that contains the queue's file and one of the
// reasons.
func (r *Rig) Refuses(text, file string, reasons ...string) error {
	if err := r.Launch(text); err != nil {
		return err
	}
	select {
	case <-r.Proc.Ended:
		r.Proc.asked.Store(true) // its end is expected
	case <-time.After(await.Patience):
		return fmt.Errorf("the gateway started, want an error with one of %q", reasons)
	}
	printed := r.Proc.Tail(20)
	explained := slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(printed, reason) })
	if !explained || !strings.Contains(printed, file) {
		return fmt.Errorf("the gateway's error should contain %s and one of %q; its last lines are:\n%s", file, reasons, printed)
	}
	return r.Proc.checkLog()
}
