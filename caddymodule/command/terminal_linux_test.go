package command

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/wording"
)

// A screen is a terminal, and records what is printed to it.
type screen struct {
	terminal *os.File // for a process
	keyboard *os.File

	mu      sync.Mutex
	printed bytes.Buffer
	ended   chan struct{}
}

func newScreen(t *testing.T, columns uint16) *screen {
	t.Helper()
	control, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	set := func(f *os.File, what uintptr, arg unsafe.Pointer) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), what, uintptr(arg)); errno != 0 {
			t.Fatalf("setting up a terminal: %v", errno)
		}
	}
	var number, unlocked int32
	set(control, syscall.TIOCSPTLCK, unsafe.Pointer(&unlocked))
	set(control, syscall.TIOCGPTN, unsafe.Pointer(&number))
	end, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := [4]uint16{24, columns}
	set(end, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
	s := &screen{terminal: end, keyboard: control, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		_, _ = io.Copy(s, control) // it ends with an error when no process has the terminal open
		_ = control.Close()
	}()
	t.Cleanup(func() { s.text() })
	return s
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.printed.Write(p)
}

func (s *screen) shows(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.printed.String(), text)
}

// text returns everything that was printed, once the processes have ended.
func (s *screen) text() string {
	_ = s.terminal.Close()
	<-s.ended
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(s.printed.String(), "\r\n", "\n")
}

// visible returns the text that is visible in the terminal in the end.
func visible(printed string) string {
	var lines []string
	for line := range strings.SplitSeq(printed, "\n") {
		var seen []rune
		for i, part := range strings.Split(line, "\r") {
			if i == 0 {
				seen = []rune(part)
				continue
			}
			over := []rune(part)
			seen = append(over, seen[min(len(seen), len(over)):]...)
		}
		lines = append(lines, strings.TrimRight(string(seen), " "))
	}
	return strings.Join(lines, "\n")
}

// working answers with progress until the test releases the last line.
func working(letGo <-chan struct{}, last string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for {
			answerLines(halfDone)(w, r)
			select {
			case <-letGo:
				answerLines(last)(w, r)
				return
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// Long work shows its progress in a line of the terminal that disappears in the end, with
// --json too. A pipe gets no progress.
func TestProgressInATerminal(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args, shows, last, out string
	}{
		"replay":  {"replay --dead", "replaying: 5 of 9,000", `{"replayed":9000,"without_payload":0}`, "9,000 deliveries replayed\n"},
		"purge":   {"purge --dead", "purging: 5 of 9,000", `{"purged":9000}`, "9,000 events purged\n"},
		"compact": {"compact", "compacting: 5 B of 8.8 KiB", `{"before":9000,"after":5}`, "compacted: 8.8 KiB -> 5 B\n"},
		"json":    {"purge --dead --json", "purging: 5 of 9,000", `{"purged":9000}`, "{\n  \"purged\": 9000\n}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			letGo := make(chan struct{})
			s := newScreen(t, 100)
			cmd := commandtest.Process(t, append(append([]string{"scribegate"}, strings.Fields(tt.args)...), "--address", commandtest.FakeServer(t, working(letGo, tt.last)))...)
			cmd.Env = append(cmd.Env, "TERM=xterm")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, s.terminal
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			commandtest.WaitUntil(t, "progress in the terminal", func() bool { return s.shows(tt.shows) })
			close(letGo)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if text := s.text(); visible(text) != "" || out.String() != tt.out {
				t.Errorf("visible is %q, of %q; printed %q, want %q", visible(text), text, out.String(), tt.out)
			}
		})
	}
}

// Ctrl-C ends the work, and the command prints how much is done.
func TestWorkIsInterrupted(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct{ shows, says string }{
		"replay --dead": {"replaying: 5", "Error: stopped: at least 5 of 9,000 events were replayed, the others are unchanged"},
		"purge --dead":  {"purging: 5", "Error: stopped: at least 5 of 9,000 events were purged, the others are unchanged"},
		"compact":       {"compacting: 5", "Error: stopped: the rest of the free space stays in the queue's file"},
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			s, ended := newScreen(t, 100), make(chan struct{})
			address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not notice that the connection closes
				working(nil, "")(w, r)
				close(ended)
			})
			cmd := commandtest.Process(t, append(append([]string{"scribegate"}, strings.Fields(args)...), "--address", address)...)
			cmd.Env = append(cmd.Env, "TERM=xterm")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, s.terminal
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			commandtest.WaitUntil(t, "progress in the terminal", func() bool { return s.shows(want.shows) })
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended: // the server has seen the client go
			case <-time.After(commandtest.WaitTimeout):
				t.Fatal("the work goes on")
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || out.Len() > 0 {
				t.Errorf("%v, printed %q", err, out.String())
			}
			if text := s.text(); strings.TrimSpace(visible(text)) != want.says {
				t.Errorf("visible is %q, of %q, want %q", visible(text), text, want.says)
			}
		})
	}
}

// A backup shows its progress in a terminal, and Ctrl-C leaves no file.
func TestBackupIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, ended := newScreen(t, 100), make(chan struct{})
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		for r.Context().Err() == nil {
			answerBytes(strings.Repeat("copy", 256))(w, r)
			_ = http.NewResponseController(w).Flush()
		}
	})
	cmd := commandtest.Process(t, "scribegate", "backup", filepath.Join(dir, "copy.db"), "--address", address)
	cmd.Env = append(cmd.Env, "TERM=xterm")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, s.terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	commandtest.WaitUntil(t, "progress in the terminal", func() bool { return s.shows("backing up: ") })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || out.Len() > 0 {
		t.Errorf("%v, printed %q", err, out.String())
	}
	<-ended // the server has seen the client go
	if text := s.text(); strings.TrimSpace(visible(text)) != "Error: stopped: no file is left" || len(namesIn(t, dir)) != 0 {
		t.Errorf("visible is %q, of %q; the files are %v", visible(text), text, namesIn(t, dir))
	}
}

// An export to a file shows its progress. An export to the terminal does not.
func TestExportInATerminal(t *testing.T) {
	t.Parallel()
	for name, toFile := range map[string]bool{"into a file": true, "to the terminal": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, letGo := newScreen(t, 100), make(chan struct{})
			address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
				next := `,"next_cursor":"more"`
				select {
				case <-letGo:
					next = ""
				case <-time.After(10 * time.Millisecond):
				}
				commandtest.AnswerJSON(w, 200, []byte(`{"events":[{"id":"one","deliveries":[]}]`+next+`}`))
			})
			cmd := commandtest.Process(t, "scribegate", "export", "--address", address)
			cmd.Env = append(cmd.Env, "TERM=xterm")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, s.terminal
			shows := "exporting: 1"
			if !toFile {
				cmd.Stdout, shows = s.terminal, strings.Repeat(exportedOne, 30)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			commandtest.WaitUntil(t, shows, func() bool { return s.shows(shows) || s.shows(strings.ReplaceAll(shows, "\n", "\r\n")) })
			close(letGo)
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			text := s.text()
			if toFile && (visible(text) != "" || strings.ReplaceAll(out.String(), exportedOne, "") != "") {
				t.Errorf("visible is %q, of %q; exported %q", visible(text), text, out.String())
			}
			if !toFile && strings.ReplaceAll(text, exportedOne, "") != "" {
				t.Errorf("visible is %q", text)
			}
		})
	}
}

const exportedOne = `{"id":"one","provider":"","type":"","subject":"","received_at":"0001-01-01T00:00:00Z","payload":false,"deliveries":[]}` + "\n"

// Output to a terminal is coloured, unless the environment turns colours off. Tables line
// up with colours too.
func TestColours(t *testing.T) {
	t.Parallel()
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		commandtest.AnswerJSON(w, 200, []byte(`{"queue":{"engine":"sqlite","unreadable":2},"upstreams":[{"name":"a-long-name","pending":1,"dead":12},{"name":"ehr","paused":true}]}`))
	})
	const want = `UPSTREAM     PENDING  IN FLIGHT  DEAD  PAUSED  ORPHANED  OLDEST  LAST SUCCESS  LAST FAILURE
a-long-name        1          0    12  no      no            0s             -  -
ehr                0          0     0  yes     no             -             -  -

queue sqlite: 0 B of no limit, 0 quarantined, 0 unrouted, 0 unconfirmed, 2 unreadable
` + wording.UnreadableHint + "\n"
	for name, tt := range map[string]struct {
		env      string
		piped    bool
		coloured bool
	}{
		"terminal":    {"NO_COLOR=", false, true},
		"NO_COLOR":    {"NO_COLOR=1", false, false},
		"TERM=dumb":   {"TERM=dumb", false, false},
		"into a pipe": {"NO_COLOR=", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, 100)
			cmd := commandtest.Process(t, "scribegate", "status", "--address", address)
			cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=", tt.env)
			var out bytes.Buffer
			if cmd.Stdout = s.terminal; tt.piped {
				cmd.Stdout = &out
			}
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			printed := s.text() + out.String()
			if got := strings.Contains(printed, "\x1b["); got != tt.coloured {
				t.Errorf("coloured %v, want %v: %q", got, tt.coloured, printed)
			}
			if tt.coloured && (!strings.Contains(printed, "\x1b[31m12\x1b[0m") || !strings.Contains(printed, "\x1b[33myes\x1b[0m") || !strings.Contains(printed, "\x1b[2mUPSTREAM\x1b[0m") || !strings.Contains(printed, "\x1b[31m2 unreadable\x1b[0m")) {
				t.Errorf("the dead, the paused, the unreadable or the header are not coloured: %q", printed)
			}
			if got := escapes.ReplaceAllString(printed, ""); got != want {
				t.Errorf("printed\n%s\nwant\n%s", got, want)
			}
		})
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9]*m")

// A table of events has as many columns as fit the terminal.
func TestEventsInANarrowTerminal(t *testing.T) {
	t.Parallel()
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		commandtest.AnswerJSON(w, 200, []byte(`{"events":[{"id":"soapnoteapi-0123456789abcdef0123456789abcdef","subject":"a1b2c3d4-e5f6-7890-abcd-ef1234567890","type":"note.generated","received_at":"2026-03-19T15:30:00Z",
			"deliveries":[{"upstream":"ehr","state":"pending","attempts":3,"next_attempt":"2026-03-19T15:30:00Z"}]}]}`))
	})
	for columns, want := range map[uint16]string{
		170: "RECEIVED ID SUBJECT TYPE UPSTREAM STATE ATTEMPTS NEXT ATTEMPT",
		140: "AGE ID SUBJECT TYPE UPSTREAM STATE TRIED NEXT",
		125: "AGE ID SUBJECT UPSTREAM STATE TRIED NEXT",
		100: "AGE ID TYPE UPSTREAM STATE TRIED NEXT",
		85:  "AGE ID UPSTREAM STATE TRIED NEXT",
		80:  "AGE ID UPSTREAM STATE",
		20:  "AGE ID UPSTREAM STATE",
	} {
		t.Run(strconv.Itoa(int(columns)), func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, columns)
			cmd := commandtest.Process(t, "scribegate", "events", "--address", address)
			cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=1")
			cmd.Stdout = s.terminal
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			head, row, _ := strings.Cut(s.text(), "\n")
			if got := strings.Join(strings.Fields(head), " "); got != want {
				t.Errorf("the columns are %s, want %s", got, want)
			}
			if columns > 20 && (len(head) > int(columns) || len(strings.TrimSpace(row)) > int(columns)) {
				t.Errorf("%q and %q are wider than %d", head, row, columns)
			}
		})
	}
}

// A table of upstreams has as many columns as fit the terminal.
func TestStatusInANarrowTerminal(t *testing.T) {
	t.Parallel()
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		commandtest.AnswerJSON(w, 200, []byte(`{"queue":{"engine":"sqlite"},"upstreams":[{"name":"ehr","pending":3,"paused":true,"pause_reason":"failures","paused_until":"2026-03-19T15:30:00Z"}]}`))
	})
	for columns, want := range map[uint16]string{
		110: "UPSTREAM PENDING IN FLIGHT DEAD PAUSED ORPHANED OLDEST LAST SUCCESS LAST FAILURE",
		80:  "UPSTREAM PENDING DEAD PAUSED ORPHANED OLDEST LAST FAILURE",
	} {
		t.Run(strconv.Itoa(int(columns)), func(t *testing.T) {
			t.Parallel()
			s := newScreen(t, columns)
			cmd := commandtest.Process(t, "scribegate", "status", "--address", address)
			cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=1")
			cmd.Stdout = s.terminal
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(s.text(), "\n")
			if got := strings.Join(strings.Fields(head), " "); got != want {
				t.Errorf("the columns are %s, want %s", got, want)
			}
		})
	}
}
