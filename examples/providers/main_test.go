package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// TestRun starts the program, sends the request that it prints and ends it.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-listen", "127.0.0.1:0", "-soniox-key", "snx_one", "-soniox-key", "snx_two", "-delay", "1h"}, writer)
		writer.Close()
	}()
	printed := bufio.NewReader(reader)
	var usage strings.Builder
	for !strings.Contains(usage.String(), "Ctrl-C") {
		line, err := printed.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after\n%s", err, usage.String())
		}
		usage.WriteString(line)
	}
	go io.Copy(io.Discard, printed)

	curl := regexp.MustCompile(`(?s)curl (http://\S+) .*?Bearer (\S+)'.*?-d '(.*?)'\n`).FindStringSubmatch(usage.String())
	if curl == nil {
		t.Fatalf("no request in\n%s", usage.String())
	}
	if curl[2] != "snx_one" || !strings.Contains(usage.String(), "snx_two (reads and writes)") || !strings.Contains(usage.String(), "snx_standin_read (reads)") {
		t.Errorf("the keys are wrong in\n%s", usage.String())
	}
	var creation map[string]string
	if err := json.Unmarshal([]byte(curl[3]), &creation); err != nil {
		t.Fatal(err)
	}
	if creation["webhook_url"] != sonioxWebhook+"?user_id=123" || creation["webhook_auth_header_value"] != sonioxCredential {
		t.Errorf("the request is %s", curl[3])
	}
	for key, want := range map[string]int{"snx_one": 201, "snx_two": 201, "snx_standin_read": 403, standin.SonioxKey: 401} {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, curl[1], strings.NewReader(curl[3]))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s is answered %d, want %d", key, resp.StatusCode, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestFlags checks the arguments that do not start the program.
func TestFlags(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		err  string // a part of it; "" if there is none
	}{
		"help":           {[]string{"-h"}, ""},
		"another 402":    {[]string{"-exhausted", "balance"}, "-exhausted balance is not one of organization_balance_exhausted, "},
		"an argument":    {[]string{"127.0.0.1:8099"}, "wrong number of arguments"},
		"a busy address": {[]string{"-listen", "192.0.2.1:1"}, "choose another address with -listen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), tt.args, io.Discard)
			if (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

// TestDefaults compares the defaults with the root Caddyfile and its demonstration secrets.
func TestDefaults(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		filepath.Join("secrets", "soapnote"): {noteSecret},
		filepath.Join("secrets", "soniox"):   {strings.TrimPrefix(sonioxCredential, "Bearer ")},
		filepath.Join("..", "Caddyfile"):     {"SCRIBEGATE_SITE::8080", "SCRIBEGATE_BIND:127.0.0.1", "scribegate /soapnote soapnoteapi", "scribegate /soniox soniox", `header Authorization "Bearer {file.`},
	} {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s has no %q", file, part)
			}
		}
	}
	for url, want := range map[string]string{noteWebhook: "http://127.0.0.1:8080/soapnote", sonioxWebhook: "http://127.0.0.1:8080/soniox"} {
		if url != want {
			t.Errorf("the webhook goes to %s, want %s", url, want)
		}
	}
}

// TestReadme checks that the chapter has the commands that the program prints.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	listen, options, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for block := range strings.SplitSeq(usage("http://"+listen, options), "\n\n") {
		if !strings.HasPrefix(block, "    curl ") {
			continue
		}
		commands++
		if shown := strings.ReplaceAll(block, "\n    ", "\n   ")[len(" "):]; !strings.Contains(string(readme), shown) {
			t.Errorf("examples/README.md does not show\n%s", shown)
		}
	}
	if commands != 2 {
		t.Errorf("the program prints %d commands, want 2", commands)
	}
}
