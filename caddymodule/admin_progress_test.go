package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// work sends a request to the admin API that asks for its progress.
func (a *adminSite) work(path, body string) *http.Response {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, "http://"+a.admin+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header.Set("Accept", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// telling makes up a compaction that tells of half of its work until it is let go.
func telling(letGo <-chan struct{}, end func() (queue.Compacted, error)) compaction {
	return func(ctx context.Context, p queue.Progress) (queue.Compacted, error) {
		for deadline := time.Now().Add(commandtest.WaitTimeout); time.Now().Before(deadline); {
			select {
			case <-letGo:
				return end()
			case <-ctx.Done():
				return queue.Compacted{}, ctx.Err()
			case <-time.After(time.Millisecond):
				p.Report(1024, 2048)
			}
		}
		return queue.Compacted{}, errors.New("nobody took notice of the progress")
	}
}

// A client that asks for lines has them while the work goes on, and the answer or
// the error as the last.
func TestAdminTellsOfProgress(t *testing.T) {
	for name, tt := range map[string]struct {
		end  func() (queue.Compacted, error)
		want string
	}{
		"done":   {func() (queue.Compacted, error) { return queue.Compacted{Before: 2048, After: 1024}, nil }, `{"before":2048,"after":1024}`},
		"failed": {func() (queue.Compacted, error) { return queue.Compacted{}, errors.New("no space left on device") }, `{"error":"no space left on device"}`},
	} {
		t.Run(name, func(t *testing.T) {
			letGo := make(chan struct{})
			a := newCompactSite(t, telling(letGo, tt.end))
			resp := a.work("/scribegate/compact", "")
			if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
				t.Fatalf("%d %s", resp.StatusCode, resp.Header.Get("Content-Type"))
			}
			lines := bufio.NewReader(resp.Body)
			if line, err := lines.ReadString('\n'); err != nil || line != `{"progress":{"done":1024,"total":2048}}`+"\n" {
				t.Fatalf("the first line is %q, %v", line, err)
			}
			close(letGo) // so the line came while the work went on
			rest, err := io.ReadAll(lines)
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Split(strings.TrimSuffix(string(rest), "\n"), "\n")
			if all[len(all)-1] != tt.want || !strings.HasSuffix(string(rest), "\n") {
				t.Errorf("the last line is %q, want %q", all[len(all)-1], tt.want)
			}
		})
	}
}

// A client that closes the connection between two lines ends the work.
func TestAdminWorkInLinesIsGivenUp(t *testing.T) {
	ended := make(chan error, 1)
	a := newCompactSite(t, func(ctx context.Context, p queue.Progress) (queue.Compacted, error) {
		done, err := telling(nil, nil)(ctx, p)
		ended <- err
		return done, err
	})
	resp := a.work("/scribegate/compact", "")
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("after the connection was closed the work goes on, until %v", err)
	}
}

// Without asking, the answer is one piece of JSON, and nothing is counted for it.
func TestAdminTellsNobodyUnasked(t *testing.T) {
	asked := false
	a := newCompactSite(t, func(_ context.Context, p queue.Progress) (queue.Compacted, error) {
		asked = p != nil
		return queue.Compacted{Before: 2048, After: 1024}, nil
	})
	r := a.ask("POST", "/scribegate/compact", "")
	if r.status != http.StatusOK || r.body != `{"before":2048,"after":1024}`+"\n" || r.header.Get("Content-Type") != "application/json" || r.header.Get("Content-Length") != "29" || asked {
		t.Errorf("%d %v %q, asked for progress %v", r.status, r.header, r.body, asked)
	}
}

// What fails before the work begins has its status, also for a client that wants
// lines; what is done at once has one line.
func TestAdminWorkInLines(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	for _, tt := range []struct {
		path, body string
		status     int
		kind, want string
	}{
		{"replay", `{"ids":["unknown"]}`, 404, "application/json", "no such event"},
		{"replay", `{"dead":true,"upstream":"nobody"}`, 400, "application/json", `configured are: ehr, lab`},
		{"purge", `{}`, 400, "application/json", "choose what to purge"},
		{"compact?now=1", ``, 400, "application/json", "unknown query parameter"},
		{"nothing", ``, 404, "application/json", "unknown path"},
		{"replay", `{"ids":["` + id + `"],"upstream":"lab"}`, 200, "application/x-ndjson", `{"replayed":1,"without_payload":0}`},
		{"purge", `{"dead":true,"before":"1h"}`, 200, "application/x-ndjson", `{"purged":0}`},
		{"compact", ``, 200, "application/x-ndjson", `{"before":`},
	} {
		resp := a.work("/scribegate/"+tt.path, tt.body)
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.kind || !strings.Contains(string(body), tt.want) || strings.Count(string(body), "\n") != 1 {
			t.Errorf("%s %s: %d %s %q, %v; want %d %s %q", tt.path, tt.body, resp.StatusCode, resp.Header.Get("Content-Type"), body, err, tt.status, tt.kind, tt.want)
		}
	}
}
