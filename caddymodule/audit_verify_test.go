package caddymodule

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// verifyAudit runs `audit verify` and returns its report. The exit status and the report agree.
func verifyAudit(t *testing.T, args ...string) (r chain.Report) {
	t.Helper()
	result := commandtest.Run(t, "", append([]string{"audit", "verify", "--json"}, args...)...)
	if result.ErrOut != "" {
		t.Fatal(result.ErrOut)
	}
	result.Decode(t, &r)
	if r.Whole != (result.Err == nil) {
		t.Errorf("whole: %t, but the command returns %v", r.Whole, result.Err)
	}
	return r
}

// findings returns the kinds of the findings, and the lines that they are about.
func findings(r chain.Report) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%s %d-%d", f.Kind, f.Seq, f.Through))
	}
	return strings.Join(all, ", ")
}

func noted(r chain.Report, kind string) (n int) {
	for _, note := range r.Notes {
		if note.Kind == kind {
			n++
		}
	}
	return n
}

// wantWhole fails the test unless the trail is whole, to its end.
func wantWhole(t *testing.T, r chain.Report) {
	t.Helper()
	if !r.Whole || !r.EndKnown || len(r.Nodes) == 0 {
		t.Fatalf("the trail is not whole: %+v", r)
	}
}

// trailFile writes a part of a trail to a file, compressed if the name ends with .gz.
func trailFile(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	content := []byte(strings.Join(lines, ""))
	if strings.HasSuffix(name, ".gz") {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		content = b.Bytes()
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A trail that was written over reloads and a restart is whole, in however many files, and what
// is done to it is found, by the running gateway and by its file.
func TestAuditVerify(t *testing.T) {
	s := newSite(t)
	a := &adminSite{site: s, admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t), lab: newBackend(t)}
	a.lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	file := filepath.Join(s.dir, "audit.log")
	run := func() {
		a.run(trail(file)+strings.TrimPrefix(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), captureInfo), soapnoteTo("ehr lab"))
	}
	for i := range 3 {
		if i == 2 {
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		run()
		a.settledNote(fmt.Sprint("note-", i))
		a.object("POST", "/scribegate/replay", `{"dead":true}`)
		a.settle()
	}
	flushLogs()
	lines := slices.Collect(strings.Lines(fileText(t, file)))
	r := verifyAudit(t, "--address", a.admin, file)
	wantWhole(t, r)
	if len(r.Nodes) != 1 || r.Nodes[0].First != 1 || r.Nodes[0].Last != int64(len(lines)) || r.Nodes[0].Lines != len(lines) || len(r.Notes) > 0 {
		t.Errorf("%d lines are verified as %+v, %+v", len(lines), r.Nodes, r.Notes)
	}
	if n := strings.Count(strings.Join(lines, ""), `"msg":"started"`); n != 2 || !strings.Contains(strings.Join(lines, ""), `"msg":"stopped"`) {
		t.Errorf("%d starts", n)
	}
	table := commandtest.Run(t, "", "audit", "verify", "--address", a.admin, file).Done(t).Out
	if !strings.Contains(table, "\nthe audit trail is whole\n") {
		t.Errorf("the command prints %s", table)
	}
	third := len(lines) / 3
	parts := []string{
		trailFile(t, s.dir, "a.log", lines[third:2*third]...), trailFile(t, s.dir, "b.log.gz", lines[:third]...), trailFile(t, s.dir, "c.log", lines[2*third:]...),
	}
	wantWhole(t, verifyAudit(t, append(parts, "--address", a.admin)...))

	n := len(lines)
	replaced := func(i int, old, with string) []string {
		all := slices.Clone(lines)
		all[i] = strings.Replace(lines[i], old, with, 1)
		if all[i] == lines[i] {
			t.Fatalf("line %s has no %s", all[i], old)
		}
		return all
	}
	changes := []struct {
		name  string
		lines []string
		want  string
	}{
		{"changed", replaced(2, "note-0", "note-9"), "changed 3-3"},
		{"first dropped", lines[1:], "missing 1-1"},
		{"dropped", slices.Concat(lines[:4], lines[6:]), "missing 5-6"},
		{"last dropped", lines[:n-1], fmt.Sprintf("cut_off %d-%d", n, n)},
		{"end cut off", lines[:third], fmt.Sprintf("cut_off %d-%d", third+1, n)},
		{"added", append(slices.Clone(lines), lines[3]), "added 4-4"},
		{"a file missing", slices.Concat(lines[:third], lines[2*third:]), fmt.Sprintf("missing %d-%d", third+1, 2*third)},
		{"nothing", nil, fmt.Sprintf("cut_off 1-%d", n)},
		{"exchanged", slices.Concat(lines[:4], []string{lines[5], lines[4]}, lines[6:]), ""},
	}
	for _, how := range []string{"by the gateway", "by its file"} {
		flags := []string{"--address", a.admin}
		if how == "by its file" {
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			flags = []string{"--path", filepath.Join(s.dir, "queue.db")}
			lines = slices.Collect(strings.Lines(fileText(t, file)))
			wantWhole(t, verifyAudit(t, append(flags, file)...))
			if want := fmt.Sprintf("cut_off %d-%d", len(lines), len(lines)); findings(verifyAudit(t, append(flags, trailFile(t, s.dir, "cut", lines[:len(lines)-1]...))...)) != want {
				t.Errorf("the last line of the process is not missed, want %s", want)
			}
		}
		for _, tt := range changes {
			if how == "by its file" { // which knows the last lines too
				tt.lines = append(slices.Clone(tt.lines), lines[n:]...)
				tt.want = strings.Replace(tt.want, "cut_off", "missing", 1)
			}
			t.Run(how+"/"+tt.name, func(t *testing.T) {
				r := verifyAudit(t, append(flags, trailFile(t, s.dir, "changed", tt.lines...))...)
				if got := findings(r); got != tt.want || r.Whole != (tt.want == "") || tt.name == "exchanged" && noted(r, chain.NoteOrder) == 0 {
					t.Errorf("findings %s, want %s; notes %+v", got, tt.want, r.Notes)
				}
			})
		}
	}
	key := strings.TrimSpace(fileText(t, filepath.Join(s.dir, "queue.db.key")))
	if r := verifyAudit(t, "--encryption-key", key, "--without-end", file); !r.Whole || r.EndKnown {
		t.Errorf("with the key alone: %+v", r)
	}
	unreachable := commandtest.Run(t, "", "audit", "verify", "--address", a.admin, file)
	unreachable.Failed(t, "--path <queue file>")
	commandtest.Run(t, "", "audit", "verify").Failed(t, "name the files")
	commandtest.Run(t, "", "audit", "check").Failed(t, "unknown command")
}

// kill -9 at any moment leaves a trail that is whole.
func TestAuditAfterKills(t *testing.T) {
	const cycles, senders = 3, 4
	backend := newLedger(t)
	s := &site{t: t, dir: t.TempDir(), port: freePort(t)}
	s.url = "http://127.0.0.1:" + s.port
	config, file := filepath.Join(s.dir, "Caddyfile"), filepath.Join(s.dir, "audit.log")
	app := "\tlog audit {\n\t\tinclude scribegate.audit\n\t\toutput file " + file + "\n\t}\n\tscribegate {\n\t\tQUEUE\n\t\tupstream ehr " + backend.URL + "\n\t}\n"
	if err := os.WriteFile(config, []byte(s.caddyfile(app, soapnoteTo("ehr"))), 0o600); err != nil {
		t.Fatal(err)
	}
	for cycle := range cycles {
		cmd := commandtest.Process(t, "run", "--config", config, "--adapter", "caddyfile")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "Caddy to answer", func() bool {
			resp, err := http.Get(s.url)
			return err == nil && resp.Body.Close() == nil
		})
		postUntilKilled(t, s, cycle, senders, func() { killProcess(cmd) })
	}
	r := verifyAudit(t, "--path", filepath.Join(s.dir, "queue.db"), file)
	wantWhole(t, r)
	if len(r.Nodes) != 1 || noted(r, chain.NoteKilled) != cycles-1 {
		t.Errorf("%+v, %+v", r.Nodes, r.Notes)
	}
	t.Logf("%d lines, the last with the number %d", r.Nodes[0].Lines, r.Nodes[0].Last)
}

func killProcess(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // its error is the signal
}

// Lines that older keys made can be verified as long as the keys are at hand.
func TestAuditAfterKeyRotation(t *testing.T) {
	s := newSite(t)
	a := &adminSite{site: s, admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t)}
	file, keys := filepath.Join(s.dir, "audit.log"), map[string]string{}
	for _, letter := range []string{"A", "B"} {
		keys[letter] = filepath.Join(s.dir, letter)
		writeKey(t, keys[letter], letter)
	}
	run := func(letters ...string) {
		option := "encryption_key"
		for _, l := range letters {
			option += " {file." + keys[l] + "}"
		}
		a.run(trail(file)+"scribegate {\nqueue sqlite {\npath "+filepath.Join(s.dir, "queue.db")+"\n"+option+"\n}\nupstream ehr "+a.ehr.URL+"\n}", soapnoteTo("ehr"))
	}
	for i, letters := range [][]string{{"A"}, {"B", "A"}, {"B"}} {
		run(letters...)
		a.settledNote(fmt.Sprint("note-", i))
		flushLogs()
		if i < 2 {
			wantWhole(t, verifyAudit(t, "--address", a.admin, file))
		}
	}
	r := verifyAudit(t, "--address", a.admin, file)
	if r.Whole || !strings.HasPrefix(findings(r), "unknown_key 1-1") || !strings.Contains(r.Findings[0].Text, "--encryption-key") {
		t.Errorf("without the older key: %+v", r.Findings)
	}
	wantWhole(t, verifyAudit(t, "--address", a.admin, "--encryption-key", "{file."+keys["A"]+"}", file))
}

func init() { caddy.RegisterModule(fickleWriter{}) }

// fickle is the log of configurations with `output fickle`; it refuses lines while fickleFails.
var (
	fickle      logCapture
	fickleFails atomic.Bool
)

type fickleWriter struct{}

// CaddyModule returns the Caddy module information.
func (fickleWriter) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.logging.writers.fickle", New: func() caddy.Module { return new(fickleWriter) }}
}

func (fickleWriter) String() string                                { return "fickle" }
func (fickleWriter) WriterKey() string                             { return "fickle" }
func (fickleWriter) OpenWriter() (io.WriteCloser, error)           { return fickleWriter{}, nil }
func (fickleWriter) Close() error                                  { return nil }
func (fickleWriter) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

// Write implements io.Writer. A disk that becomes full takes half of a line.
func (fickleWriter) Write(p []byte) (int, error) {
	if fickleFails.Load() {
		n, _ := fickle.Write(p[:len(p)/2])
		return n, errors.New("no space left on device")
	}
	return fickle.Write(p)
}

// Lines that could not be written are accounted for by a line of their own, whatever the log does
// with time, level and duration, and also where it has other lines too.
func TestAuditOfALogThatFails(t *testing.T) {
	s := newSite(t)
	a := &adminSite{site: s, admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t)}
	fickle.reset()
	for i, format := range []string{
		"json", "scribegate", "json {\n time_format wall_milli\n time_local\n level_format upper\n duration_format string\n}",
		"json {\n time_format rfc3339\n}", "json {\n time_format unix_nano\n}", "json {\n time_format common_log\n}",
	} {
		a.run("log default {\noutput fickle\nformat "+format+"\n}\n"+strings.TrimPrefix(upstreams("ehr", a.ehr.URL), captureInfo), soapnoteTo("ehr"))
		a.settledNote(fmt.Sprint("note-", i))
		flushLogs()
	}
	fickleFails.Store(true)
	a.settledNote("lost")
	flushLogs()
	fickleFails.Store(false)
	a.settledNote("kept")
	flushLogs()
	file := trailFile(t, s.dir, "audit.log", fickle.String())
	r := verifyAudit(t, "--address", a.admin, file)
	wantWhole(t, r)
	if noted(r, chain.NoteDropped) != 1 || noted(r, chain.NoteTorn) == 0 {
		t.Errorf("notes %+v", r.Notes)
	}
}

// A configuration without a store has a trail of the same form, which says that nothing proves it.
func TestAuditWithoutAStore(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	file := filepath.Join(s.dir, "audit.log")
	s.load(trail(file), "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\n}\nreverse_proxy "+b.URL)
	do(t, s.soapnote("/soapnote", note("passed")))
	var fields map[string]any
	lines := auditLines(t, file)
	for _, l := range lines {
		if fields = l.fields; fields["node"] == "" || fields["seq"] == nil || fields["chain"] == nil {
			t.Errorf("line %v", fields)
		}
	}
	key := strings.Repeat("A", 43) + "="
	r := verifyAudit(t, "--encryption-key", key, "--without-end", file)
	if got := findings(r); r.Whole || got != "without_key 1-1, without_key 2-2" {
		t.Errorf("findings %s in %d lines", got, len(lines))
	}
}

// What the admin API answers about the trail has neither keys nor content, and what it is asked is
// checked.
func TestAuditOverTheAdminAPI(t *testing.T) {
	a := newAdminSite(t)
	a.settledNote("note-1")
	flushLogs()
	heads, err := json.Marshal(a.object("GET", "/scribegate/audit", ""))
	if err != nil || !strings.Contains(string(heads), `"node":`) {
		t.Errorf("heads %s, %v", heads, err)
	}
	for body, want := range map[string]int{
		`{"lines":[]}`: http.StatusOK, `{"lines":[{"digest":"00","chain":"x"}]}`: http.StatusBadRequest, `{"line":[]}`: http.StatusBadRequest,
		`{"lines":[{"digest":"` + strings.Repeat("0", 64) + `","chain":"00000001-0000000000000000-00000000000000-` + strings.Repeat("0", 32) + `"}]}`: http.StatusOK,
	} {
		if r := a.ask("POST", "/scribegate/audit/verify", body); r.status != want {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}
