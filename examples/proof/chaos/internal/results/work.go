package results

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// sonioxHook is the address of the handler as Soniox was given it.
const sonioxHook = "https://hooks.example.com/soniox"

// A recording is a transcription, or a webhook that claims that there is one.
type recording struct {
	id, file string
	tokens   int
	kind     recordingKind
}

type recordingKind int

const (
	announced recordingKind = iota // its webhook is sent
	missed                         // its webhook is not sent: the gateway finds it
	late                           // its webhook has failed and is sent once more
	forged                         // there is only the webhook
	foreign                        // it belongs to another handler
)

// A workload makes recordings and sends their webhooks.
type workload struct {
	api    *providerAPI
	fleet  load.Fleet
	book   *ledger.Book // the events of announced and late recordings
	missed *ledger.Book // the events of missed ones

	mu    sync.Mutex
	all   map[string]recording // by the id of the event
	wrong error                // the first wrong delivery or answer
}

const (
	// resultRate is the number of recordings per second.
	resultRate = 50

	// maxForeign is the number of the recording after which none belongs to another handler. Nothing deletes those.
	maxForeign = 1000
)

// run makes recordings until ctx ends, and then waits until every webhook is acknowledged.
func (w *workload) run(ctx, sending context.Context) {
	var senders sync.WaitGroup
	todo := make(chan recording)
	for range 8 {
		senders.Go(func() {
			c := w.fleet.Connect()
			defer c.Close()
			for r := range todo {
				w.announce(sending, c, r)
			}
		})
	}
	for n := 0; await.Sleep(ctx, time.Second/resultRate) == nil; n++ {
		if w.api.full() {
			continue
		}
		for _, r := range w.next(n) {
			if r.kind != missed && r.kind != foreign {
				todo <- r
			}
		}
	}
	close(todo)
	senders.Wait()
}

// next makes the next recordings: one, or two with the same file.
func (w *workload) next(n int) []recording {
	r := recording{id: uuid.NewString(), file: uuid.NewString(), tokens: 20}
	switch n % 20 {
	case 1, 2, 3:
		r.kind = missed
	case 4, 5:
		r.kind = late
	case 6, 7:
		r.kind = forged
	case 8:
		r.tokens = 20_000 // more than 1 MiB
	case 9:
		pair := []recording{r, {id: uuid.NewString(), file: r.file, tokens: 20}}
		w.add(pair...)
		return pair
	case 10:
		if n > maxForeign {
			break
		}
		pair := []recording{r, {id: uuid.NewString(), file: r.file, tokens: 20, kind: foreign}}
		w.add(pair...)
		return pair
	}
	w.add(r)
	return []recording{r}
}

// burst makes missed recordings, and returns their ids.
func (w *workload) burst(n int) map[string]bool {
	ids := make(map[string]bool, n)
	for range n {
		r := recording{id: uuid.NewString(), file: uuid.NewString(), tokens: 20, kind: missed}
		w.add(r)
		ids[r.id] = true
	}
	return ids
}

// add makes recordings.
func (w *workload) add(all ...recording) {
	for _, r := range all {
		w.mu.Lock()
		w.all[r.event()] = r
		w.mu.Unlock()
		w.api.budget(r)
	}
	for _, r := range all {
		if r.kind == missed {
			w.missed.Acknowledge(r.event(), nil, false, 0)
		}
		if r.kind != forged {
			w.api.AddFile(standin.File{ID: r.file})
			w.api.AddTranscription(r.transcription())
		}
	}
}

// transcription returns the recording as Soniox has it. Reconciling must not find the announced ones, whose webhook
// counts as answered.
func (r recording) transcription() standin.Transcription {
	text, tokens := r.transcript()
	t := standin.Transcription{
		ID: r.id, FileID: r.file, WebhookURL: sonioxHook + "?visit=" + r.id, WebhookStatusCode: http.StatusBadGateway,
		Transcript: fmt.Appendf(nil, `{"id":%q,"text":%s,"tokens":%s}`, r.id, text, tokens),
	}
	switch r.kind {
	case announced:
		t.WebhookStatusCode = http.StatusOK
	case foreign:
		t.WebhookURL = "https://hooks.example.com/other"
	case missed, late, forged:
	}
	return t
}

// transcript returns the text and the tokens, in a form that only a copy of the bytes keeps.
func (r recording) transcript() (text, tokens []byte) {
	tokens = []byte(`[ {"text":"\u0056isit","start_ms":0,"confidence":9.70E-1}`)
	for n := 1; n < r.tokens; n++ {
		tokens = fmt.Appendf(tokens, `, {"text":" word %d","start_ms":%d,"confidence":0.50}`, n, 400*n)
	}
	return fmt.Appendf(nil, `"\u0056isit %s"`, r.id), append(tokens, " ]"...)
}

// event returns the id of the event.
func (r recording) event() string { return resultEvent(r.id) }

func resultEvent(id string) string {
	sum := sha256.Sum256([]byte("https://soniox.com\x00" + id + "\x00completed"))
	return "soniox-" + hex.EncodeToString(sum[:16])
}

// announce sends the webhook of a recording until it is acknowledged.
func (w *workload) announce(ctx context.Context, c *load.Connection, r recording) {
	p := load.Post{Path: "/soniox?visit=" + r.id, Body: sender.Transcription(r.id, "completed"), Soniox: true}
	for {
		began := time.Now()
		answer, outcome := w.fleet.Send(ctx, c, p)
		switch {
		case load.Acknowledged(answer) && answer.ID != r.event():
			w.fail(fmt.Errorf("the webhook of %s was answered with the event %s", r.id, answer.ID))
			return
		case load.Acknowledged(answer) && r.kind == forged:
			return
		case load.Acknowledged(answer):
			w.book.Acknowledge(answer.ID, nil, answer.Duplicate, time.Since(began))
			return
		}
		w.book.Record(outcome)
		if await.Sleep(ctx, 5*time.Millisecond) != nil {
			return
		}
	}
}

// received checks a delivery.
func (w *workload) received(id string, body []byte) {
	w.mu.Lock()
	r, known := w.all[id]
	w.mu.Unlock()
	if err := r.check(known, body); err != nil {
		w.fail(fmt.Errorf("the event %s was delivered: %w", id, err))
	}
}

// check returns an error if the body of a delivery is not the complete event of the recording.
func (r recording) check(known bool, body []byte) error {
	switch {
	case !known:
		return errors.New("no webhook and no transcription has it")
	case r.kind == forged:
		return errors.New("it must not be, since Soniox does not know the transcription")
	case r.kind == foreign:
		return errors.New("it must not be, since the transcription is another handler's")
	}
	var e struct {
		Subject string `json:"subject"`
		Data    struct {
			Metadata      json.RawMessage `json:"metadata"`
			Raw           json.RawMessage `json:"raw"`
			Transcription struct {
				Transcript struct {
					Text   json.RawMessage `json:"text"`
					Tokens json.RawMessage `json:"tokens"`
				} `json:"transcript"`
			} `json:"transcription"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return fmt.Errorf("its body is not JSON: %w", err)
	}
	text, tokens := r.transcript()
	for _, part := range []struct {
		name      string
		got, want []byte
	}{
		{"subject", []byte(e.Subject), []byte(r.id)},
		{"metadata", e.Data.Metadata, []byte(`{"visit":["` + r.id + `"]}`)},
		{"raw", e.Data.Raw, sender.Transcription(r.id, "completed")},
		{"text", e.Data.Transcription.Transcript.Text, text},
		{"tokens", e.Data.Transcription.Transcript.Tokens, tokens},
	} {
		if !bytes.Equal(part.got, part.want) {
			return fmt.Errorf("its %s is %.80q, want %.80q", part.name, part.got, part.want)
		}
	}
	return nil
}

func (w *workload) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.wrong == nil {
		w.wrong = err
	}
}

// firstWrong returns the first wrong delivery or answer.
func (w *workload) firstWrong() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong
}

// count returns the number of recordings of a kind, and how many of their events a backend has.
func (w *workload) count(kind recordingKind, has func(id string) bool) (number, delivered int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.all {
		if r.kind != kind {
			continue
		}
		number++
		if has(r.event()) {
			delivered++
		}
	}
	return number, delivered
}

// leftovers returns the number of recordings that should be deleted at Soniox and are not, with their files. It
// returns an error if something of a foreign one is deleted.
func (w *workload) leftovers() (left int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := make(map[string]bool)
	for _, r := range w.all {
		if r.kind == foreign {
			kept[r.file] = true
		}
	}
	for _, r := range w.all {
		if r.kind == forged {
			continue
		}
		_, transcription := w.api.Transcription(r.id)
		_, file := w.api.File(r.file)
		switch {
		case kept[r.file] && !file:
			return 0, fmt.Errorf("the file %s of another handler's transcription was deleted", r.file)
		case r.kind == foreign && !transcription:
			return 0, fmt.Errorf("the transcription %s of another handler was deleted", r.id)
		case r.kind != foreign && (transcription || file && !kept[r.file]):
			left++
		}
	}
	return left, nil
}
