package result_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue"
	"github.com/scribegate/scribegate/forwarder/result"
	"github.com/scribegate/scribegate/forwarder/result/recovery"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

const (
	source   = "https://soniox.com"
	hook     = "https://hooks.example.com/soniox"
	upstream = "ehr"
)

// stages are what an event waits for, beside its upstream.
var stages = []string{upstream, queue.Completion("soniox", source), queue.Cleanup("soniox", source)}

// A gateway is a queue in a file with both stages, and an upstream that accepts everything.
type gateway struct {
	queue      *sqlitequeue.Queue
	client     soniox.Client
	completion *result.CompletionStage
	cleanup    *result.CleanupStage
	deliver    func(e *event.Event)
	stop       chan struct{}
	stopped    chan struct{}
}

func startGateway(path, base string, c result.Completion, deliver func(e *event.Event)) (*gateway, error) {
	q, err := sqlitequeue.Open(sqlitequeue.Options{Path: path, Settings: queue.DefaultSettings()})
	if err != nil {
		return nil, err
	}
	client, err := soniox.New(rest.Options{Base: base, Key: func() string { return standin.SonioxKey }, Rate: 600_000})
	if err != nil {
		return nil, errors.Join(err, q.Close())
	}
	g := &gateway{queue: q, client: client, deliver: deliver, stop: make(chan struct{}), stopped: make(chan struct{})}
	c.API = client
	g.completion = result.NewCompletion(q, "soniox", source, c, nil)
	g.cleanup = result.NewCleanup(q, "soniox", source, result.Cleanup{API: client}, nil)
	q.Notify(func(name string) {
		switch {
		case queue.IsCompletion(name):
			g.completion.Wake()
		case queue.IsCleanup(name):
			g.cleanup.Wake()
		}
	})
	go g.run()
	return g, nil
}

// run delivers what is due.
func (g *gateway) run() {
	defer close(g.stopped)
	for {
		c, err := g.queue.Claim(upstream, time.Now(), queue.Want{First: 10, Retry: 10})
		for _, d := range c.Deliveries {
			if e, err := g.queue.Load(d); err == nil {
				g.deliver(e)
				g.queue.Settle(queue.Outcome{Delivery: d, At: time.Now(), Status: 200, Result: queue.Success, Used: true, State: queue.Delivered})
			}
		}
		wait := 10 * time.Millisecond
		if err == nil && len(c.Deliveries) > 0 {
			wait = 0
		}
		select {
		case <-time.After(wait):
		case <-g.stop:
			return
		}
	}
}

func (g *gateway) close() error {
	close(g.stop)
	<-g.stopped
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := errors.Join(g.completion.Close(ctx), g.cleanup.Close(ctx), g.queue.Close())
	g.client.Close()
	return err
}

func newEvent(body []byte, query string) (*event.Event, error) {
	return verifier.Soniox{Header: "Authorization"}.Event(verifier.Request{Source: source, Query: query, Body: body, ReceivedAt: time.Now()})
}

// receive stores the event of a webhook.
func (g *gateway) receive(id string, recovered bool) (bool, error) {
	e, err := newEvent(fmt.Appendf(nil, `{"id":%q,"status":"completed"}`, id), "user_id=1")
	if err != nil {
		return false, err
	}
	return g.store(context.Background(), e, recovered)
}

func (g *gateway) store(ctx context.Context, e *event.Event, recovered bool) (bool, error) {
	receipt, err := g.queue.Store(ctx, queue.Item{Event: e, Upstreams: stages, Recovered: recovered})
	return err == nil && !receipt.Duplicate, err
}

// reconcile looks for missed webhooks until it has gone through the whole list.
func (g *gateway) reconcile(ctx context.Context) error {
	r := recovery.Reconciler{API: g.client, WebhookURL: hook, Retention: 72 * time.Hour, Events: recovery.Events{
		New: newEvent,
		Known: func(ctx context.Context, id string) (bool, error) {
			_, err := g.queue.Event(ctx, id)
			if errors.Is(err, queue.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		},
		Take: func(ctx context.Context, e *event.Event) (bool, error) { return g.store(ctx, e, true) },
	}}
	_, err := r.Look(ctx)
	return err
}

func newAPI(t *testing.T) (*standin.Server, string) {
	t.Helper()
	api := standin.New(standin.Options{})
	server := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		server.Close()
	})
	return api, server.URL
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// An event is delivered with its transcript, whatever the API does meanwhile, and what it
// announced is deleted.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	huge := standin.HugeTranscript("73d4357d-cad2-4338-a60d-000000000001", 10<<20)
	for name, tt := range map[string]struct {
		fault      standin.Fault
		transcript []byte
	}{
		"at once":            {},
		"slow":               {fault: standin.Fault{Delay: 300 * time.Millisecond, Times: 1}},
		"429":                {fault: standin.Fault{Status: 429, Times: 1}},
		"429, Retry-After":   {fault: standin.Fault{Status: 429, RetryAfter: "1", Times: 1}},
		"500":                {fault: standin.Fault{Status: 500, Times: 1}},
		"cut off half-way":   {fault: standin.Fault{Cut: true, Times: 1}},
		"wrong JSON":         {fault: standin.Fault{Body: []byte(`{"id":1,"text":[`), Times: 1}},
		"a page of HTML":     {fault: standin.Fault{Body: []byte("<html>"), Times: 1}},
		"10 MB":              {transcript: huge},
		"10 MB, interrupted": {transcript: huge, fault: standin.Fault{Cut: true, Times: 1}},
	} {
		for _, route := range []standin.Route{standin.GetTranscription, standin.GetTranscript} {
			t.Run(name+" "+string(route), func(t *testing.T) {
				t.Parallel()
				api, base := newAPI(t)
				if tt.fault.Times > 0 {
					api.Fail(route, tt.fault)
				}
				id := api.AddTranscription(standin.Transcription{
					ID: "73d4357d-cad2-4338-a60d-000000000001", FileID: api.AddFile(standin.File{}), Transcript: tt.transcript, ClientReferenceID: "visit-7",
				})
				delivered := make(chan []byte, 10)
				g, err := startGateway(filepath.Join(t.TempDir(), "queue.db"), base, result.Completion{}, func(e *event.Event) {
					delivered <- e.AppendStructured(nil)
				})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := g.receive(id, false); err != nil {
					t.Fatal(err)
				}
				var got []byte
				select {
				case got = <-delivered:
				case <-time.After(time.Minute):
					t.Fatal("nothing was delivered within a minute")
				}
				eventually(t, "transcription and file are deleted", func() bool {
					return api.Count(standin.DeleteTranscription) > 0 && api.Count(standin.DeleteFile) > 0
				})
				if _, there := api.Transcription(id); there {
					t.Error("the transcription is there")
				}
				if err := g.close(); err != nil {
					t.Error(err)
				}
				if len(delivered) > 0 {
					t.Error("delivered twice")
				}
				if tt.transcript == nil {
					eventtest.Validate(t, got)
				} else if i := bytes.Index(huge, []byte(`"tokens":`)); !bytes.Contains(got, huge[i:len(huge)-1]) {
					t.Error("the tokens are not delivered byte for byte")
				}
				for _, want := range []string{`"client_reference_id":"visit-7"`, `"transcript":{"text":`, `"raw":{"id":"` + id} {
					if !bytes.Contains(got, []byte(want)) {
						t.Errorf("%s is not delivered: %.500s", want, got)
					}
				}
			})
		}
	}
}

// What the API does not know is never delivered.
func TestEndToEndUnknown(t *testing.T) {
	t.Parallel()
	api, base := newAPI(t)
	g, err := startGateway(filepath.Join(t.TempDir(), "queue.db"), base, result.Completion{}, func(e *event.Event) {
		t.Errorf("%s was delivered", e.Subject)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"73d4357d-cad2-4338-a60d-000000000001", "count", "73D4357D-CAD2-4338-A60D-000000000002", "x"} {
		if id != "x" {
			api.AddTranscription(standin.Transcription{ID: "73d4357d-cad2-4338-a60d-000000000002"})
		}
		if _, err := g.receive(id, false); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "each is asked for twice", func() bool { return api.Count(standin.GetTranscription) >= 6 })
	if n := api.Count(standin.CountTranscriptions); n > 0 {
		t.Error("an id named another endpoint")
	}
	if err := g.close(); err != nil {
		t.Error(err)
	}
}

// helperEnv has the path of the store, the address of the API and the file for what is
// delivered, for a process that is to be killed.
const helperEnv = "SCRIBEGATE_TEST_RESULT"

const killedEvents = 60

func killedID(n int) string { return fmt.Sprintf("73d4357d-cad2-4338-a60d-%012d", n) }

// TestMain is also the process that is killed.
func TestMain(m *testing.M) {
	if args := strings.Split(os.Getenv(helperEnv), "\n"); len(args) == 3 {
		if err := helper(args[0], args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// helper is a gateway that receives half of the webhooks, finds the others by the list,
// and ends when its standard input does.
func helper(path, base, log string) error {
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	g, err := startGateway(path, base, result.Completion{}, func(e *event.Event) {
		_, _ = fmt.Fprintf(f, "%s %s\n", e.Subject, e.Transcription)
	})
	if err != nil {
		return err
	}
	for n := range killedEvents / 2 {
		if _, err := g.receive(killedID(n), true); err != nil {
			return err
		}
	}
	if err := g.reconcile(context.Background()); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return g.close()
}

// However often the process is killed while it fetches, completes, reconciles and deletes,
// every event is delivered with its transcript, everything is deleted, and nothing is
// asked for without end.
func TestKilled(t *testing.T) {
	t.Parallel()
	api, base := newAPI(t)
	dir := t.TempDir()
	log := filepath.Join(dir, "delivered")
	shared := api.AddFile(standin.File{})
	for n := range killedEvents {
		file := shared
		if n%10 > 0 {
			file = api.AddFile(standin.File{})
		}
		api.AddTranscription(standin.Transcription{
			ID: killedID(n), FileID: file, CreatedAt: time.Now().Add(-time.Hour), WebhookURL: hook + "?user_id=1", WebhookStatusCode: 500,
			Transcript: fmt.Appendf(nil, `{"id":%q,"text":"text of %d","tokens":[]}`, killedID(n), n),
		})
	}
	api.Fail(standin.AnyRoute, standin.Fault{Delay: 15 * time.Millisecond})
	start := func() (*exec.Cmd, io.Closer) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), helperEnv+"="+strings.Join([]string{filepath.Join(dir, "queue.db"), base, log}, "\n"))
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, in
	}
	left := func() int {
		n := 0
		for i := range killedEvents {
			if _, there := api.Transcription(killedID(i)); there {
				n++
			}
		}
		return n
	}
	kills := 0
	for ; kills < 40 && left() > 0; kills++ {
		cmd, _ := start()
		time.Sleep(time.Duration(150+(kills*37)%200) * time.Millisecond) // not a condition: any moment will do
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	if kills < 3 {
		t.Fatalf("done after %d kills", kills)
	}
	cmd, in := start()
	eventually(t, "all transcriptions are deleted", func() bool { return left() == 0 })
	eventually(t, "the shared file is deleted", func() bool {
		_, there := api.File(shared)
		return !there
	})
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}

	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for n := range killedEvents {
		want := fmt.Sprintf(`"transcript":{"text":"text of %d","tokens":[]}}`+"\n", n)
		if !strings.Contains(string(b), want) {
			t.Errorf("event %d was not delivered with its transcript", n)
		}
	}
	for line := range strings.SplitSeq(strings.TrimSpace(string(b)), "\n") {
		if !strings.Contains(line, `"transcript":{`) {
			t.Errorf("delivered without transcript: %s", line)
		}
	}
	files := 0
	for _, r := range api.Requests() {
		if r.Route == standin.GetTranscript {
			files++
		}
	}
	if limit := killedEvents + 20*(kills+1); files > limit {
		t.Errorf("%d transcripts were fetched, for %d events and %d kills", files, killedEvents, kills)
	}
}
