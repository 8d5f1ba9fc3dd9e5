package command

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// answerLines answers in lines, as the admin API does to report progress.
func answerLines(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", admin.LinesType)
		for _, line := range lines {
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		}
	}
}

const halfDone = `{"progress":{"done":5,"total":9000}}`

func TestLongWork(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args   string
		answer http.HandlerFunc
		out    string // or, where it is empty
		fails  []string
	}{
		"replayed":            {"replay --dead", answerLines(halfDone, `{"replayed":9000,"without_payload":0}`), "9,000 deliveries replayed\n", nil},
		"some without":        {"replay --since 1h", answerLines(`{"replayed":1,"without_payload":2}`), "1 delivery replayed, 2 events skipped since the payload is no longer kept\n", nil},
		"some unrouted":       {"replay --unrouted", answerLines(`{"replayed":1,"without_payload":0,"unrouted":2}`), "1 delivery replayed, 2 events skipped since no upstream accepts the type\n", nil},
		"purged":              {"purge --dead", answerLines(halfDone, halfDone, `{"purged":1}`), "1 event purged\n", nil},
		"compacted":           {"compact", answerLines(halfDone, `{"before":2048,"after":1024}`), "compacted: 2.0 KiB -> 1.0 KiB\n", nil},
		"fails on the way":    {"replay --dead", answerLines(halfDone, `{"error":"no space left"}`), "", []string{"no space left: at least 5 of 9,000 events were replayed, the others are unchanged"}},
		"purge fails":         {"purge --dead", answerLines(halfDone, `{"error":"no space left"}`), "", []string{"no space left: at least 5 of 9,000 events were purged"}},
		"compaction fails":    {"compact", answerLines(halfDone, `{"error":"no space left"}`), "", []string{"no space left: the rest of the free space stays in the queue's file"}},
		"fails at once":       {"replay --dead", answerLines(`{"error":"no space left"}`), "", []string{"Error: no space left\n"}},
		"breaks off":          {"replay --dead", answerLines(halfDone), "", []string{"stopped before the work was done", "see its log", "at least 5 of 9,000"}},
		"breaks off at once":  {"replay --dead", answerLines(), "", []string{"stopped before the work was done"}},
		"no JSON in the line": {"replay --dead", answerLines("<html>"), "", []string{"stopped before the work was done"}},
		"an answer in one piece": {"replay --dead", func(w http.ResponseWriter, _ *http.Request) {
			commandtest.AnswerJSON(w, 200, []byte(`{"replayed":3,"without_payload":0}`+"\n"))
		}, "3 deliveries replayed\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := commandtest.Run(t, "", append(strings.Fields(tt.args), "--address", commandtest.FakeServer(t, tt.answer))...)
			if tt.fails == nil {
				if r.Done(t); r.Out != tt.out {
					t.Errorf("printed %q, want %q", r.Out, tt.out)
				}
				return
			}
			for _, want := range tt.fails {
				r.Failed(t, want)
			}
			if r.Out != "" {
				t.Errorf("printed %q although it failed", r.Out)
			}
		})
	}
}

// Requests have the same headers as those of Caddy's own commands.
func TestCommandsSayWhereTheyComeFrom(t *testing.T) {
	t.Parallel()
	asked := make(chan *http.Request, 1)
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		commandtest.AnswerJSON(w, 200, []byte(`{"replayed":0,"purged":0,"before":0,"after":0,"events":[],"status":"ok"}`))
	})
	for args, accept := range map[string]string{
		"status": "", "events": "", "show x": "", "export": "", "health": "",
		"replay --dead": admin.LinesType, "purge x": admin.LinesType, "compact": admin.LinesType,
	} {
		commandtest.Run(t, "", append(strings.Fields(args), "--address", address)...).Done(t)
		if r := <-asked; r.Header.Get("Origin") != "http://"+address || r.Header.Get("Accept") != accept {
			t.Errorf("%s: Origin %q, Accept %q", args, r.Header.Get("Origin"), r.Header.Get("Accept"))
		}
	}
}

// If another server answers, the error says that the address is wrong.
func TestCommandsAtAWrongAddress(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"another server":         func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"a site with nothing":    func(http.ResponseWriter, *http.Request) {},
		"Caddy without a plugin": http.NotFound,
		"an error of its own":    func(w http.ResponseWriter, _ *http.Request) { commandtest.AnswerJSON(w, 500, []byte(`[]`)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := commandtest.FakeServer(t, answer)
			for _, args := range []string{"status", "events", "show x", "replay --dead", "purge x", "compact", "export", "health", "status --json", "backup " + filepath.Join(t.TempDir(), "copy.db")} {
				r := commandtest.Run(t, "", append(strings.Fields(args), "--address", address)...)
				r.Failed(t, "the server at "+address+", which answered with status ")
				r.Failed(t, "set --address or --config")
				if r.Out != "" {
					t.Errorf("%s printed %q", args, r.Out)
				}
			}
		})
	}
	for _, address := range []string{"nonsense::x", "localhost:1-5"} {
		commandtest.Run(t, "", "status", "--address", address).Failed(t, "is not the address of an admin API")
	}
}

// A command does not hang if the server does not answer, or does not finish its answer.
func TestCommandsWithASilentServer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"status":`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"half a refusal": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"status":`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := commandtest.FakeServer(t, answer)
			for _, args := range [][]string{{"health"}, {"health", "live", "--json"}} {
				r := commandtest.Run(t, "", append(args, "--address", address)...)
				r.Failed(t, "the admin API at "+address+" did not answer within 4s")
				if r.Out != "" || strings.Contains(r.ErrOut, "is Caddy running there") {
					t.Errorf("printed %q and %q", r.Out, r.ErrOut)
				}
			}
		})
	}
}

func TestCommandWithoutServer(t *testing.T) {
	t.Parallel()
	closed := commandtest.ClosedPort(t)
	for _, args := range []string{"status", "events", "show x", "replay --dead", "purge --dead", "health live", "backup " + filepath.Join(t.TempDir(), "copy.db")} {
		commandtest.Run(t, "", append(strings.Fields(args), "--address", closed)...).Failed(t, "asking the admin API at "+closed)
	}
}
