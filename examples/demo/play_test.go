package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

func TestPlay(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	f := &fake{}
	sc := f.scene(t, &out)
	if err := sc.play(t.Context(), steps(sc.gateway, testSecrets, time.Now())); err != nil {
		t.Fatalf("play() = %v\n%s", err, out.String())
	}
	for _, want := range []string{
		"1  SOAPNoteAPI sends note.generated",
		"POST /soapnote?clinic=7",
		"POST /v1/transcriptions",
		"201, transcription ",
		"POST /soniox?user_id=123&order_id=456, from Soniox",
		"\"A word.\", 2 tokens",
		"401, error \"unauthorized\"",
		"200, duplicate of " + f.ids[0],
		"com.example.structured, structured, attempt 1, signature verified",
		"com.example.binary, binary, attempt 1, signature verified",
		"All 7 requests were answered as expected, and 7 deliveries arrived, each once.\nTo see events in the console, run `make run` and open http://localhost:8081 ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "as expected\n"); n != 7 {
		t.Errorf("%d steps were as expected, want 7", n)
	}
}

func TestPlayFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fake *fake
		want string
	}{
		"forged requests are accepted":      {fake: &fake{acceptForged: true}, want: "the gateway should have answered 401"},
		"a duplicate is not detected":       {fake: &fake{noDuplicates: true}, want: "duplicate should have been true"},
		"events are lost":                   {fake: &fake{noDeliveries: true}, want: "it was not delivered within"},
		"events are delivered twice":        {fake: &fake{deliverTwice: true}, want: "2 times, not once"},
		"test events go to both upstreams":  {fake: &fake{deliverTestAll: true}, want: "and should not have been"},
		"events lack the transcript":        {fake: &fake{noTranscripts: true}, want: "the event should have the transcript"},
		"deliveries have a wrong signature": {fake: &fake{signing: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, want: "ehr refused 401"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			sc := tt.fake.scene(t, &out)
			err := sc.play(t.Context(), steps(sc.gateway, testSecrets, time.Now()))
			if err == nil {
				t.Errorf("play() = nil\n%s", out.String())
			}
			if !strings.Contains(out.String(), "WRONG: ") || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%q is not in\n%s", tt.want, out.String())
			}
			if strings.Contains(out.String(), "All 7") {
				t.Error("it prints that everything was as expected")
			}
		})
	}
}

func TestPlayWithoutAGateway(t *testing.T) {
	t.Parallel()
	sc := (&fake{noDeliveries: true}).scene(t, io.Discard)
	sc.gateway = "http://127.0.0.1:1"
	sc.idle = func(context.Context) error { return errors.New("no gateway") }
	if err := sc.play(t.Context(), steps(sc.gateway, testSecrets, time.Now())); err == nil {
		t.Error("play() = nil")
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	accepted := step{status: 200}
	tests := map[string]struct {
		step   step
		answer sender.Answer
		good   bool
	}{
		"accepted":                 {step: accepted, answer: sender.Answer{Status: 200, Received: true, ID: "new"}, good: true},
		"rejected":                 {step: step{status: 401}, answer: sender.Answer{Status: 401, Error: "unauthorized"}, good: true},
		"a duplicate":              {step: step{status: 200, duplicate: true}, answer: sender.Answer{Status: 200, Received: true, ID: "old", Duplicate: true}, good: true},
		"accepted, status 401":     {step: step{status: 401}, answer: sender.Answer{Status: 401, Received: true}},
		"without an id":            {step: accepted, answer: sender.Answer{Status: 200, Received: true}},
		"an empty answer":          {step: accepted, answer: sender.Answer{Status: 200}},
		"new, with an old id":      {step: accepted, answer: sender.Answer{Status: 200, Received: true, ID: "old"}},
		"new, called a duplicate":  {step: accepted, answer: sender.Answer{Status: 200, Received: true, ID: "new", Duplicate: true}},
		"a duplicate, with new id": {step: step{status: 200, duplicate: true}, answer: sender.Answer{Status: 200, Received: true, ID: "new", Duplicate: true}},
		"a duplicate, called new":  {step: step{status: 200, duplicate: true}, answer: sender.Answer{Status: 200, Received: true, ID: "old"}},
		"unavailable":              {step: accepted, answer: sender.Answer{Status: 503, Error: "temporarily unavailable"}},
		"a transcription":          {step: step{status: 201, job: "/soniox"}, answer: sender.Answer{Status: 201, ID: "new"}, good: true},
		"a wrong API key":          {step: step{status: 201, job: "/soniox"}, answer: sender.Answer{Status: 401}},
		"a forged one accepted":    {step: step{status: 401}, answer: sender.Answer{Status: 200}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tt.step.check(tt.answer, []string{"old"}); (err == nil) != tt.good {
				t.Errorf("check() = %v", err)
			}
		})
	}
}

func TestPrinterTruncatesData(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("ä", dataLines*dataWidth)
	for name, tt := range map[string]struct {
		data string
		cut  bool
	}{
		"whole":            {data: whole},
		"a character more": {data: whole + "ä", cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			printer{w: &out}.data(receive.Delivery{Event: receive.Event{Data: []byte(tt.data)}})
			if n := strings.Count(out.String(), "\n"); n != dataLines {
				t.Errorf("%d lines, want %d", n, dataLines)
			}
			if n := strings.Count(out.String(), "ä"); n != dataLines*dataWidth {
				t.Errorf("%d characters, want %d", n, dataLines*dataWidth)
			}
			if got := strings.HasSuffix(out.String(), " ...\n"); got != tt.cut {
				t.Errorf("marked as truncated: %v, want %v", got, tt.cut)
			}
		})
	}
}

func TestPrinterColours(t *testing.T) {
	t.Parallel()
	var plain, coloured bytes.Buffer
	printer{w: &plain}.problem("a reason")
	printer{w: &coloured, colour: true}.problem("a reason")
	if strings.Contains(plain.String(), "\x1b") {
		t.Errorf("without colours: %q", plain.String())
	}
	if !strings.Contains(coloured.String(), "\x1b[31mWRONG: a reason\x1b[0m") {
		t.Errorf("with colours: %q", coloured.String())
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if newPrinter(file).colour {
		t.Error("a file gets colours")
	}
}

func TestRunWithoutABinary(t *testing.T) {
	t.Setenv(stage.CaddyEnv, "")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-caddy", filepath.Join(t.TempDir(), "caddy")}, printer{w: &out})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("run() = %v, want an error that says how to build it", err)
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}
