package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// giveUp is how long SOAPNoteAPI waits for an answer. It does not send a webhook again. It
// is a variable for tests.
var giveUp = 10 * time.Second

// A load plays SOAPNoteAPI.
type load struct {
	url, secret string

	mu       sync.Mutex
	sent     int
	refused  map[string]int       // by the answer, or how the request failed
	answers  []time.Time          // of accepted notes
	received map[string]time.Time // when a note was accepted, by its event's id
	slowest  time.Duration        // answer
}

func newLoad(url, secret string) *load {
	return &load{url: url, secret: secret, refused: make(map[string]int), received: make(map[string]time.Time)}
}

// send sends a number of notes a second for some time, and returns when all are answered.
func (l *load) send(ctx context.Context, rate int, d time.Duration) {
	client := &http.Client{Timeout: giveUp, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	var notes sync.WaitGroup
	defer notes.Wait()
	for began := time.Now(); time.Since(began) < d; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		l.sent++
		note := fmt.Sprint("note-", l.sent)
		l.mu.Unlock()
		notes.Go(func() { l.one(ctx, client, note) })
	}
}

// one sends one note, once.
func (l *load) one(ctx context.Context, client *http.Client, note string) {
	began := time.Now()
	request, err := sender.SOAPNoteAPI(ctx, l.url, l.secret, sender.NoteGenerated(note, began), began)
	var answer sender.Answer
	if err == nil {
		answer, err = sender.SendWith(client, request)
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, now.Sub(began))
	switch {
	case err != nil:
		l.refused["no answer"]++
	case answer.Status != http.StatusOK:
		l.refused[fmt.Sprint("answer ", answer.Status)]++
	default:
		l.answers = append(l.answers, now)
		l.received[answer.ID] = now
	}
}

// accepted returns how many notes were accepted.
func (l *load) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.answers)
}
