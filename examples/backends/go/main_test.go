package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-listen", "127.0.0.1:0"}, secret, w)
		w.Close()
	}()

	lines := bufio.NewScanner(r)
	if !lines.Scan() {
		t.Fatal("run() ended without printing a line:", <-ended)
	}
	url, ok := strings.CutPrefix(lines.Text(), "listening on ")
	if !ok {
		t.Fatalf("the first line is %q", lines.Text())
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET /healthz = %d, want 200", resp.StatusCode)
	}

	stop()
	if err := <-ended; err != nil {
		t.Errorf("run() = %v, want nil", err)
	}
}

func TestRunRejects(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args   []string
		secret string
		want   string
	}{
		"without a secret":        {secret: "", want: "SCRIBEGATE_SIGNING_SECRET"},
		"with an empty key":       {secret: "whsec_", want: "keygen"},
		"with an invalid address": {args: []string{"-listen", "127.0.0.1:port"}, secret: secret, want: "-listen"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), tt.args, tt.secret, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("run() = %v, want an error that names %q", err, tt.want)
			}
		})
	}
}

func TestHandlerShowsTheDataOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		show bool
		want string
	}{
		"not asked": {show: false, want: ""},
		"asked":     {show: true, want: `{"note":{}}` + "\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := handler(&out, tt.show)(receive.Delivery{Event: receive.Event{Data: []byte(`{"note":{}}`)}}); err != nil {
				t.Fatal(err)
			}
			if out.String() != tt.want {
				t.Errorf("printed %q, want %q", out.String(), tt.want)
			}
		})
	}
}
