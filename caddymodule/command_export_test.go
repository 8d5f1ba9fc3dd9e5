package caddymodule

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

func idsOf(all []map[string]any) (ids []string) {
	for _, e := range all {
		ids = append(ids, e["id"].(string))
	}
	return ids
}

// newExportSite runs with events in every state but pending, and with
// admin_payloads. It returns their ids, the newest first.
func newExportSite(t *testing.T) (*adminSite, []string) {
	t.Helper()
	a := newAdminSite(t)
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE", "QUEUE\n\t\tadmin_payloads", 1), soapnoteTo("ehr lab"))
	one := a.settledNote("note-1")
	a.lab.respond(nil)
	two := a.settledNote("note-2")
	ids := []string{two, one}
	for _, body := range []string{`{"no":"json`, "\xff\xfe"} {
		if r := do(t, a.soapnote("/soapnote", body)); r.status != http.StatusBadRequest {
			t.Fatalf("answer %d to an invalid payload", r.status)
		}
		ids = append([]string{soapnoteID(body)}, ids...)
	}
	ids = append([]string{storeSetAside(t, queue.Unrouted, "note-3")}, ids...)
	return a, append([]string{storeSetAside(t, queue.Unconfirmed, "note-4")}, ids...)
}

// An export prints events as the admin API returns them, and the same from the server
// and from its file.
func TestExportCommand(t *testing.T) {
	a, ids := newExportSite(t)
	exports := make(map[string]string)
	variants := []string{"", "--payloads", "--state delivered", "--state dead", "--state quarantined --payloads", "--state unrouted --payloads", "--state unconfirmed", "--state pending"}
	for _, args := range variants {
		exports[args] = a.command(append([]string{"export"}, strings.Fields(args)...)...).Done(t).Out
	}

	all := commandtest.Result{Out: exports[""]}.Lines(t)
	if got := idsOf(all); !slices.Equal(got, ids) {
		t.Fatalf("exported %v, want %v", got, ids)
	}
	for i, id := range ids {
		if want := a.object("GET", "/scribegate/events/"+id, ""); fmt.Sprint(all[i]) != fmt.Sprint(want) {
			t.Errorf("exported %v, want %v", all[i], want)
		}
	}
	if strings.Contains(exports[""], "PATIENT-TEXT") {
		t.Error("payloads are in an export that did not ask for them")
	}
	full := commandtest.Result{Out: exports["--payloads"]}.Lines(t)
	for i, id := range ids {
		content := full[i]["content"]
		if full[i]["payload"] != true {
			if content != nil {
				t.Errorf("%s has no payload and is exported with one", id)
			}
			continue
		}
		if want := a.object("GET", "/scribegate/events/"+id+"/payload", ""); fmt.Sprint(content) != fmt.Sprint(want) {
			t.Errorf("exported the payload %v, want %v", content, want)
		}
	}
	if fmt.Sprint(full[2]["content"]) != "map[body_base64://4=]" || full[0]["content"] == nil || full[4]["content"] != nil || full[5]["content"] == nil {
		t.Errorf("exported\n%s", exports["--payloads"])
	}
	for args, want := range map[string][]string{
		"--state delivered": ids[4:], "--state dead": ids[5:], "--state quarantined --payloads": ids[2:4],
		"--state unrouted --payloads": ids[1:2], "--state unconfirmed": ids[:1], "--state pending": nil,
	} {
		if got := idsOf(commandtest.Result{Out: exports[args]}.Lines(t)); !slices.Equal(got, want) {
			t.Errorf("%s exported %v, want %v", args, got, want)
		}
	}

	path := filepath.Join(a.dir, "queue.db")
	commandtest.Run(t, "", "export", "--path", path).Failed(t, path+" is in use by a running Caddy; leave --path out")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	before := directory(t, a.dir)
	for _, args := range variants {
		if out := commandtest.Run(t, "", append([]string{"export", "--path", path}, strings.Fields(args)...)...).Done(t).Out; out != exports[args] {
			t.Errorf("from its file, %s exported\n%s\nwant\n%s", args, out, exports[args])
		}
	}
	if after := directory(t, a.dir); !maps.Equal(before, after) {
		t.Error("reading the file changed something")
	}
}

func TestAdminEventsWithHistory(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	one := a.object("GET", "/scribegate/events/"+id, "")
	for query, want := range map[string]bool{"": false, "?history=false": false, "?history=true": true} {
		listed := a.object("GET", "/scribegate/events"+query, "")["events"].([]any)[0]
		if same := fmt.Sprint(listed) == fmt.Sprint(one); same != want {
			t.Errorf("%q: %v", query, listed)
		}
	}
	if r := a.ask("GET", "/scribegate/events?history=some", ""); r.status != http.StatusBadRequest {
		t.Errorf("a history that there is not: %d %s", r.status, r.body)
	}
}

// directory reads the files of a directory.
func directory(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// If the server does not allow payloads, the error comes before any event.
func TestExportOfPayloadsMustBeAllowed(t *testing.T) {
	a := newAdminSite(t)
	a.settledNote("note-1")
	r := a.command("export", "--payloads")
	r.Failed(t, "put admin_payloads into the scribegate block")
	if r.Out != "" {
		t.Errorf("printed %q", r.Out)
	}
	a.command("export").Done(t)
}

// More events than a page holds come out, each once.
func TestExportPagesThrough(t *testing.T) {
	a := newAdminSite(t)
	q := gateway.Current().Queue()
	const n = admin.MaxLimit + 5
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			e := &event.Event{ID: fmt.Sprint("note-", i), Provider: "soapnoteapi", Type: "com.soapnoteapi.test"}
			if _, err := q.Store(t.Context(), queue.Item{Event: e}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	want, _ := a.listed("", admin.MaxLimit)
	if got := idsOf(a.command("export").Done(t).Lines(t)); len(want) != n || !slices.Equal(got, want) {
		t.Errorf("exported %d events, want the %d that are listed", len(got), len(want))
	}
}

func TestExportFromADamagedFile(t *testing.T) {
	a, ids := newExportSite(t)
	path := filepath.Join(a.dir, "queue.db")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(content, "\x00")) // the file grows ahead of what is in it
	content = content[:(used+4095)/4096*4096]
	whole := commandtest.Run(t, "", "export", "--payloads", "--path", path).Done(t).Lines(t)
	reported, partly := 0, 0
	for page := range len(content) / 4096 {
		b := slices.Clone(content)
		lost := b[page*4096 : (page+1)*4096]
		if len(bytes.Trim(lost, "\x00")) == 0 {
			continue // it was never written
		}
		clear(lost)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r := commandtest.Run(t, "", "export", "--payloads", "--path", path)
		all := r.Lines(t)
		if r.Err == nil {
			if len(all) != len(whole) {
				t.Errorf("without page %d: %d events, and the exit status 0", page, len(all))
			}
			continue
		}
		reported++
		r.Failed(t, fmt.Sprintf("exported %d events", len(all)))
		for _, e := range all {
			if e["damaged"] != nil {
				partly++
			}
			if !slices.Contains(ids, e["id"].(string)) {
				t.Errorf("exported %v", e)
			}
		}
	}
	if reported == 0 || partly == 0 {
		t.Errorf("%d pages were missed, %d events exported in part", reported, partly)
	}
}

// Payloads that were sealed with a given key need it, by a placeholder too.
func TestExportKeys(t *testing.T) {
	a := newAdminSite(t)
	t.Setenv("SCRIBEGATE_TEST_KEY", testKey)
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE",
		"queue sqlite {\n\t\t\tpath "+a.dir+"/sealed.db\n\t\t\tencryption_key {env.SCRIBEGATE_TEST_KEY}\n\t\t}", 1), soapnoteTo("ehr lab"))
	id := a.settledNote("note-1")
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.dir, "sealed.db")
	export := []string{"export", "--payloads", "--path", path}
	r := commandtest.Run(t, "", export...)
	r.Failed(t, "no key is given")
	wrong := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
	commandtest.Run(t, "", append(export, "--encryption-key", wrong)...).Failed(t, "not among those given")
	r = commandtest.Run(t, "", append(export, "--encryption-key", wrong, "--encryption-key", "{env.SCRIBEGATE_TEST_KEY}")...).Done(t)
	if all := r.Lines(t); len(all) != 1 || all[0]["id"] != id || !strings.Contains(r.Out, "PATIENT-TEXT") {
		t.Errorf("exported %s", r.Out)
	}
	if all := commandtest.Run(t, "", "export", "--path", path).Done(t).Lines(t); len(all) != 1 {
		t.Errorf("without payloads no key is needed: %v", all)
	}
}

// A reader that has had enough, as in `| head -1`, ends the export quietly.
func TestExportIntoAClosedPipe(t *testing.T) {
	a, _ := newExportSite(t)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	cmd := commandtest.Process(t, "scribegate", "export", "--path", filepath.Join(a.dir, "queue.db"))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &errOut
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); err == nil || errOut.Len() > 0 {
		t.Errorf("ended with %v and said %q", err, errOut.String())
	}
	_ = w.Close()
}
