package caddymodule

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// TestNothingLeaksOfAProcess does in a process of its own what one process has to
// itself: what it prints, from its start to a crash, which tells all of its
// goroutines, and what it leaves where no configuration says so.
func TestNothingLeaksOfAProcess(t *testing.T) {
	newOTLPReceiver(t)
	s := newPrivateSite(t)
	seen := make(evidence)
	config := strings.Replace(s.config("sqlite"), "output file "+filepath.Join(s.dir, "caddy.log"), "output stderr", 1)
	config = strings.ReplaceAll(config, "\ttimeout 500ms\n", "\ttimeout 1h\n")
	file := filepath.Join(s.secrets, "Caddyfile")
	write := func(config string) {
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(s.dir, "home")
	caddy := func(args ...string) *exec.Cmd {
		cmd := commandtest.Process(t, append(args, "--config", file, "--adapter", "caddyfile")...)
		cmd.Env = append(cmd.Env, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "GOTRACEBACK=system")
		return cmd
	}
	printed := func(where string, cmd *exec.Cmd, fails bool) {
		out, err := cmd.CombinedOutput()
		if (err != nil) != fails {
			t.Errorf("%s: %v\n%s", where, err, out)
		}
		seen[where] = out
	}

	write(config)
	printed("the command adapt", caddy("adapt"), false)
	printed("the command validate", caddy("validate"), false)
	printed("a start without secrets", func() *exec.Cmd {
		cmd := caddy("run")
		cmd.Env = append(cmd.Env, "PLANTED_SONIOX=")
		return cmd
	}(), true)

	var crash bytes.Buffer
	running := caddy("run")
	running.Stdout, running.Stderr = &crash, &crash
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = running.Process.Kill() }()
	eventually(t, "Caddy to be ready", func() bool {
		resp, err := http.Get("http://" + s.admin + "/scribegate/health/ready")
		return err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
	})
	eventually(t, "the site to listen", func() bool { // Caddy may start its servers after the queue
		conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		return err == nil && conn.Close() == nil
	})
	for _, a := range slices.Concat(s.sendAll(false, s.acceptedRequests()), s.sendAll(false, s.invalidRequests()), s.sendAll(true, s.forgedRequests())) {
		seen.add("the answers to providers", fmt.Sprint(a.header)+a.body)
	}
	s.sendAll(false, s.checkpointRequests())
	s.completed(s.sendAll(false, s.resultRequests()))
	printed("the command show", caddy("scribegate", "show", soapnoteID(s.patient(1))), false)
	printed("the command show --payload", caddy("scribegate", "show", soapnoteID(s.patient(1)), "--payload"), true)
	write(strings.ReplaceAll(config, "{env.PLANTED_SIGNING}", "{env.PLANTED_NO_KEY}"))
	printed("the command reload", caddy("reload"), true)

	// It crashes while a request comes in and deliveries are under way.
	w := s.dial()
	w.write(head("/soapnote"+s.query(), 1000, soapnoteFields("x")...) + s.place("text of a body that is cut off"))
	s.sendAll(false, []*http.Request{s.soapnote("/blab", s.patient(60))})
	eventually(t, "deliveries to be under way", func() bool {
		return s.blabber.times("/url/silent") > 0 && s.blabber.times("/route/silent") > 0
	})
	if err := running.Process.Signal(syscall.SIGABRT); err != nil {
		t.Error(err)
	}
	if err := running.Wait(); err == nil {
		t.Error("Caddy ended well, although it was to crash")
	}
	seen["what Caddy prints"] = crash.Bytes()

	printed("a start with a wrong key", func() *exec.Cmd {
		write(strings.ReplaceAll(config, "{env.PLANTED_KEY} {file."+s.secrets+"/older-key}", "{env.PLANTED_OTHER_KEY}"))
		return caddy("run")
	}(), true)
	for _, d := range s.good.deliveries() {
		s.sent(d.header.Get("Webhook-Signature"))
	}
	for _, signatures := range s.blabber.signatures {
		s.sent(signatures)
	}
	s.left(seen)
	seen["the queue.db"] = slices.Concat(seen["sqlite.db"], seen["sqlite.db-wal"]) // the crash left it in either
	seen.mustHold(t, map[string][]string{
		"what Caddy prints":        {"(*completionAttempt).ask", "handled request", `"http.log.trace"`, "an upstream sent more than its answer", "SIGABRT", "goroutine 1 ", "route.(*Sender).serve", "(*URLSender).Send"},
		"unfiltered.log":           {`"msg":"accepted"`, `"msg":"delivered"`, "request rejected: signature_mismatch"},
		"autosave.json":            {"{env.PLANTED_SOAPNOTE}", s.place(literalPassword)},
		"the command adapt":        {"{env.PLANTED_SOAPNOTE}", s.place(literalPassword)},
		"the command validate":     {"Valid configuration"},
		"the command show":         {"payload kept"},
		"the command reload":       {"signing secret"},
		"a start without secrets":  {"every entry is unset or empty"},
		"a start with a wrong key": {"key"},
		"the queue.db":             {soapnoteID(s.patient(1))},
	})
	s.mustHoldNothing(seen)
}
