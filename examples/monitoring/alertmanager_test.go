//go:build examples

package monitoring_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// program returns the name of a program of Alertmanager, which Debian's package prefixes.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			return name
		}
	}
	t.Fatalf("%s is not installed; install it with: apt-get install prometheus-alertmanager", names[0])
	return ""
}

// TestAmtool checks alertmanager.yml, and that each alert of rules.yml goes to the receiver
// of its severity.
func TestAmtool(t *testing.T) {
	ctx, amtool := bounded(t), program(t, "amtool")
	run(ctx, t, amtool, "check-config", "alertmanager.yml")
	receivers := map[string]string{"critical": "page", "warning": "slack", "info": "slack"}
	names, rules := alertNames(t), alertName.Split(read(t, "rules.yml"), -1)[1:]
	for i, name := range names {
		severity := regexp.MustCompile(`severity: (\w+)`).FindStringSubmatch(rules[i])[1]
		want := receivers[severity]
		if name == "ScribegateWatchdog" {
			want = "watchdog"
		}
		run(ctx, t, amtool, "config", "routes", "test", "--config.file=alertmanager.yml", "--verify.receivers="+want, "alertname="+name, "severity="+severity)
	}
}

// A receiver records the notifications of Alertmanager, by the path that they are sent to.
type receiver struct {
	mu       sync.Mutex
	received map[string][]string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.received[req.URL.Path] = append(r.received[req.URL.Path], string(body))
	w.WriteHeader(http.StatusAccepted)
}

// about returns how many notifications at a path mention a text.
func (r *receiver) about(path, text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, body := range r.received[path] {
		if strings.Contains(body, text) {
			n++
		}
	}
	return n
}

// startAlertmanager runs Alertmanager with alertmanager.yml. It changes only the addresses
// and secrets of the receivers, and the intervals.
func startAlertmanager(ctx context.Context, t *testing.T, receivers string) (url string) {
	t.Helper()
	dir, binary := t.TempDir(), program(t, "prometheus-alertmanager", "alertmanager")
	config := read(t, "alertmanager.yml")
	for _, replace := range [][2]string{
		{"/etc/alertmanager/slack-url", write(t, filepath.Join(dir, "slack-url"), receivers+"/slack")},
		{"/etc/alertmanager/pagerduty-key", write(t, filepath.Join(dir, "pagerduty-key"), "synthetic-key")},
		{"https://hc-ping.com/00000000-0000-0000-0000-000000000000", receivers + "/ping"},
		{"global:\n", "global:\n  pagerduty_url: " + receivers + "/pagerduty\n"},
		{"group_wait: 10s", "group_wait: 1s"},
		{"group_interval: 1m", "group_interval: 1s"},
		{"repeat_interval: 1m", "repeat_interval: 1s"},
	} {
		if strings.Count(config, replace[0]) != 1 {
			t.Fatalf("alertmanager.yml does not have %q once", replace[0])
		}
		config = strings.Replace(config, replace[0], replace[1], 1)
	}
	ports, err := stage.Ports(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, err := stage.Start(stage.Command{Name: "Alertmanager", Dir: dir, Args: []string{
		binary,
		"--config.file=" + write(t, filepath.Join(dir, "alertmanager.yml"), config),
		"--storage.path=" + filepath.Join(dir, "data"),
		"--web.listen-address=127.0.0.1:" + ports[0],
		"--cluster.listen-address=",
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	url = "http://127.0.0.1:" + ports[0]
	eventually(ctx, t, "the start", func() string {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/-/ready", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Sprintf("%v\n%s", err, p.Tail(5))
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return resp.Status
		}
		return ""
	})
	return url
}

// TestAlertmanager sends alerts to a real Alertmanager and checks who is notified.
func TestAlertmanager(t *testing.T) {
	ctx, amtool := bounded(t), program(t, "amtool")
	r := &receiver{received: make(map[string][]string)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	url := startAlertmanager(ctx, t, server.URL)
	add := func(name, severity, instance string, labels ...string) {
		run(ctx, t, amtool, append([]string{"alert", "add", "--alertmanager.url=" + url, name, "severity=" + severity, "instance=" + instance, "--annotation=summary=summary of " + name + " at " + instance}, labels...)...)
	}
	// In this order, so that an alert that suppresses another one comes first.
	add("ScribegateDown", "critical", "down:2019")
	add("ScribegateDeadLetters", "warning", "down:2019", "upstream=ehr")
	add("ScribegateDeadLetters", "warning", "gate:2019", "upstream=lab")
	add("ScribegateWatchdog", "info", "gate:2019")

	for _, want := range []struct {
		path, text string
		count      int
	}{
		{"/slack", "summary of ScribegateDown at down:2019", 1},
		{"/pagerduty", "summary of ScribegateDown at down:2019", 1},
		{"/slack", "summary of ScribegateDeadLetters at gate:2019", 1},
		{"/ping", "ScribegateWatchdog", 3}, // again and again
	} {
		eventually(ctx, t, "a notification", func() string {
			if n := r.about(want.path, want.text); n < want.count {
				return fmt.Sprintf("%s has %d notifications about %q, want %d", want.path, n, want.text, want.count)
			}
			return ""
		})
	}
	for _, never := range [][2]string{
		{"/slack", "ScribegateDeadLetters at down:2019"}, // the gateway is down, which has been reported
		{"/pagerduty", "ScribegateDeadLetters"},
		{"/slack", "ScribegateWatchdog"},
	} {
		if n := r.about(never[0], never[1]); n > 0 {
			t.Errorf("%s has %d notifications about %q, want none", never[0], n, never[1])
		}
	}
	if n := r.about("/pagerduty", "synthetic-key"); n == 0 {
		t.Error("the notifications of PagerDuty do not have the key")
	}
}
