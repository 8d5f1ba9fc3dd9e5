//go:build examples

package container_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/deployment/internal/cell"
	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// Synthetic secrets, used only in these tests.
const (
	secret  = "whsec_c3ludGhldGljLXNvYXBub3RlLXNlY3JldA"
	signing = "whsec_c3ludGhldGljLXNpZ25pbmctc2VjcmV0LTAx"
)

// TestContainer builds the images of the Dockerfile, and runs both as a container would: with
// the image's command and user, on the image's file system, which is read-only but for the
// volume.
func TestContainer(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Minute, errors.New("15 minutes are over"))
	t.Cleanup(cancel)
	b := newBuilder(t)
	goImage, volumes := b.goImage(ctx, t)
	b.build(ctx, t, goImage, volumes, "", "gateway")
	b.build(ctx, t, goImage, volumes, "backend", "backend")
	gateway, backend := b.open(ctx, t, "gateway"), b.open(ctx, t, "backend")
	checkImage(t, gateway)
	b.adapterImage(ctx, t)
	for folder, files := range map[string][]string{"image": nil, "lambda": {"/opt/extensions/lambda-adapter"}} {
		checkDerived(t, b.derive(ctx, t, folder), gateway, folder, files)
	}

	port, err := stage.Ports(ctx, 4)
	must(t, err)
	receiver := run(ctx, t, cell.Tree(t, backend.root), backend, []string{"-listen", "127.0.0.1:" + port[0]}, "SCRIBEGATE_SIGNING_SECRET="+signing)
	address, err := receiver.WaitURL(ctx)
	must(t, err)

	c := cell.Tree(t, gateway.root, "/var/lib/scribegate", "/run/secrets")
	for name, value := range map[string]string{
		"encryption-key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "signing": signing, "soapnote": secret, "soniox": "synthetic-soniox-secret",
	} {
		c.Write(ctx, t, "/run/secrets/"+name, value+"\n")
	}
	site, admin, upstream := "http://127.0.0.1:"+port[1], "127.0.0.1:"+port[2], address+"/events"
	started := run(ctx, t, c, gateway, nil, "SCRIBEGATE_SITE="+site, "SCRIBEGATE_UPSTREAM="+upstream, "CADDY_ADMIN="+admin, "SCRIBEGATE_METRICS_PORT="+port[3])
	_, err = started.WaitLine(ctx, "the start", func(line string) bool { return strings.Contains(line, "serving initial configuration") })
	must(t, err)

	// Docker runs the check in the container, with the variables of the image alone.
	health := func() error {
		command := stage.Command{Name: "the health check", Args: c.Args(gateway.User, gateway.Health.Test[1:]...), Env: append(slices.Clone(gateway.Env), "CADDY_ADMIN="+admin)}
		check, err := stage.Start(command)
		must(t, err)
		<-check.Ended()
		if code := check.ExitCode(); code != 0 {
			return fmt.Errorf("the health check exits with %d: %s", code, check.Tail(5))
		}
		return nil
	}
	must(t, health())

	now := time.Now()
	request, err := sender.SOAPNoteAPI(ctx, site+"/soapnote", secret, sender.NoteGenerated("a-note", now), now)
	must(t, err)
	answer, err := sender.Send(request)
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("a note is answered %+v, %v, want 200; the gateway printed:\n%s", answer, err, started.Tail(20))
	}
	_, err = receiver.WaitLine(ctx, "the event", func(line string) bool { return strings.Contains(line, answer.ID) })
	must(t, err)
	checkMetrics(ctx, t, "http://127.0.0.1:"+port[3]+"/metrics")
	must(t, started.Stop())
	if health() == nil {
		t.Error("the health check of a gateway that has ended does not fail")
	}
}

// checkImage checks what the Dockerfile's comments promise.
func checkImage(t *testing.T, i image) {
	t.Helper()
	if i.User != "65532:65532" || i.StopSignal != "SIGTERM" || len(i.Volumes) != 1 || i.Volumes["/var/lib/scribegate"] == nil {
		t.Errorf("the image has user %q, signal %q and volumes %v", i.User, i.StopSignal, i.Volumes)
	}
	if want := []string{"CMD", "/usr/bin/caddy", "scribegate", "health", "ready"}; !slices.Equal(i.Health.Test, want) {
		t.Errorf("the health check is %q, want %q", i.Health.Test, want)
	}
	if got := i.files(t); !slices.Equal(got, gatewayFiles) {
		t.Errorf("the image has the files %q, want %q", got, gatewayFiles)
	}
}

var gatewayFiles = []string{"/etc/scribegate/Caddyfile", "/etc/ssl/certs/ca-certificates.crt", "/usr/bin/caddy"}

// checkDerived checks that an image of ../platforms has its own Caddyfile, and otherwise what
// the gateway's has, besides the files.
func checkDerived(t *testing.T, i, gateway image, folder string, files []string) {
	t.Helper()
	if i.User != gateway.User || !slices.Equal(i.Entrypoint, gateway.Entrypoint) || !slices.Equal(i.Cmd, gateway.Cmd) || !slices.Contains(i.Env, "HOME=/tmp") {
		t.Errorf("the image %s has user %q, command %q %q, and variables %q", folder, i.User, i.Entrypoint, i.Cmd, i.Env)
	}
	want := append(slices.Clone(gatewayFiles), files...)
	slices.Sort(want)
	if got := i.files(t); !slices.Equal(got, want) {
		t.Errorf("the image %s has the files %q, want %q", folder, got, want)
	}
	if read(t, filepath.Join(i.root, "etc", "scribegate", "Caddyfile")) != read(t, filepath.Join("..", "platforms", folder, "Caddyfile")) {
		t.Errorf("the image %s has another Caddyfile than the folder", folder)
	}
}

// files returns the files of the image, without folders.
func (i image) files(t *testing.T) (files []string) {
	t.Helper()
	must(t, filepath.WalkDir(i.root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(path, i.root))
		}
		return err
	}))
	return files
}

// checkMetrics checks that Prometheus finds Scribegate's metrics where prometheus.yml looks.
func checkMetrics(ctx context.Context, t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	must(t, err)
	resp, err := http.DefaultClient.Do(request)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if !strings.Contains(string(body), `scribegate_events_received_total{outcome="accepted",provider="soapnoteapi",type="note.generated"} 1`) {
		t.Errorf("the metrics have no received note:\n%s", body)
	}
}

// run runs a container, with other arguments than the image's if there are some.
func run(ctx context.Context, t *testing.T, c *cell.Cell, i image, args []string, env ...string) *stage.Process {
	t.Helper()
	if args == nil {
		args = i.Cmd
	}
	p, err := stage.Start(stage.Command{Name: i.Entrypoint[0], Args: c.Args(i.User, append(slices.Clone(i.Entrypoint), args...)...), Env: append(slices.Clone(i.Env), env...)})
	must(t, err)
	t.Cleanup(func() { _ = p.Stop() }) // it has ended already, unless the test has failed
	return p
}

// TestCompose checks what the compose file refers to: files, and targets of the Dockerfile.
func TestCompose(t *testing.T) {
	t.Parallel()
	var compose struct {
		Services map[string]struct {
			Build struct{ Context, Dockerfile, Target string }
			Image string
			// What else a service has is Docker's.
			Volumes []string
			More    map[string]any `yaml:",inline"`
		}
		Volumes map[string]any
		Name    string
	}
	readYAML(t, "compose.yaml", &compose)
	if len(compose.Services) != 4 {
		t.Errorf("the compose file has %d services, want 4", len(compose.Services))
	}
	dockerfile := read(t, "Dockerfile")
	for name, s := range compose.Services {
		if s.Build.Context != "" {
			if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if s.Build.Target != "" && !strings.Contains(dockerfile, " AS "+s.Build.Target+"\n") {
				t.Errorf("%s: the Dockerfile has no target %s", name, s.Build.Target)
			}
		} else if !strings.Contains(s.Image, ":v") && !strings.Contains(s.Image, ":1") {
			t.Errorf("%s: the image %s has no version", name, s.Image)
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			_, named := compose.Volumes[source]
			_, err := os.Stat(source)
			if !named && err != nil && source != "./secrets" { // which the reader makes
				t.Errorf("%s: the volume %s: %v", name, volume, err)
			}
		}
	}

	// The hosts of the other files are services.
	var prometheus struct {
		Configs []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "prometheus.yml", &prometheus)
	var grafana struct{ Datasources []struct{ URL string } }
	readYAML(t, filepath.Join("grafana", "datasources.yaml"), &grafana)
	dataSource, err := url.Parse(grafana.Datasources[0].URL)
	must(t, err)
	for _, address := range []string{prometheus.Configs[0].Static[0].Targets[0], dataSource.Host} {
		host, _, _ := strings.Cut(address, ":")
		if _, ok := compose.Services[host]; !ok {
			t.Errorf("no service is %s", host)
		}
	}
}
