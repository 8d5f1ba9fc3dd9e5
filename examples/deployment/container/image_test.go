//go:build examples

package container_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/deployment/internal/cell"
)

// A builder runs buildah with a storage of its own.
type builder struct{ dir string }

func newBuilder(t *testing.T) *builder {
	t.Helper()
	cell.Need(t, "buildah", "buildah")
	return &builder{dir: t.TempDir()}
}

func (b *builder) run(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(ctx, "buildah", append([]string{
		"--storage-driver", "vfs", "--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "runroot"),
	}, args...)...)
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("buildah %q: %v\n%s%s", args, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// goImage makes an image with this machine's programs and its Go, in place of the one that
// the Dockerfile names: there is no registry in a test. It has no files of its own but these;
// the others are mounted while the image is built.
func (b *builder) goImage(ctx context.Context, t *testing.T) (name string, volumes []string) {
	t.Helper()
	env := make(map[string]string)
	out, err := exec.CommandContext(ctx, "go", "env", "-json", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	must(t, err)
	must(t, json.Unmarshal(out, &env))
	container := b.run(ctx, t, "from", "scratch")
	root := b.run(ctx, t, "mount", container)
	for _, folder := range []string{"tmp", "usr", "etc/ssl/certs"} {
		must(t, os.MkdirAll(filepath.Join(root, folder), 0o755))
	}
	for _, folder := range []string{"bin", "sbin", "lib", "lib64"} {
		must(t, os.Symlink("usr/"+folder, filepath.Join(root, folder)))
	}
	for _, file := range []string{"/etc/passwd", "/etc/group", "/etc/ssl/certs/ca-certificates.crt"} {
		content, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(root, file), content, 0o644))
	}
	b.run(ctx, t, "umount", container)
	b.run(ctx, t, "config", "--env", "PATH="+env["GOROOT"]+"/bin:/usr/bin:/bin",
		"--env", "GOMODCACHE="+env["GOMODCACHE"], "--env", "GOCACHE="+env["GOCACHE"],
		"--env", "GOPROXY=off", "--env", "GOTOOLCHAIN=local", "--env", "GOFLAGS=-buildvcs=false", container)
	b.run(ctx, t, "commit", "--rm", container, "go-of-this-machine")

	volumes = []string{"/usr:/usr:ro", env["GOMODCACHE"] + ":" + env["GOMODCACHE"], env["GOCACHE"] + ":" + env["GOCACHE"]}
	if !strings.HasPrefix(env["GOROOT"], "/usr/") {
		volumes = append(volumes, env["GOROOT"]+":"+env["GOROOT"]+":ro")
	}
	return "localhost/go-of-this-machine", volumes
}

// build builds a target of the Dockerfile, "" for the last one.
func (b *builder) build(ctx context.Context, t *testing.T, goImage string, volumes []string, target, tag string) {
	t.Helper()
	args := []string{
		"bud", "--isolation", "chroot", "--layers", "--quiet", "--format", "docker", "--file", "Dockerfile", "--tag", tag,
		"--build-arg", "GO_IMAGE=" + goImage, "--build-arg", "VERSION=v1.2.3", "--build-arg", "BUILDFLAGS=",
	}
	for _, volume := range volumes {
		args = append(args, "--volume", volume)
	}
	if target != "" {
		args = append(args, "--target", target)
	}
	b.run(ctx, t, append(args, filepath.Join("..", "..", ".."))...)
}

// adapterImage makes an image that has a file in the place of AWS's Lambda Web Adapter.
func (b *builder) adapterImage(ctx context.Context, t *testing.T) {
	t.Helper()
	container := b.run(ctx, t, "from", "scratch")
	b.run(ctx, t, "copy", container, "doc.go", "/lambda-adapter")
	b.run(ctx, t, "commit", "--rm", container, "adapter")
}

// derive builds an image of ../platforms, which is based on the gateway's.
func (b *builder) derive(ctx context.Context, t *testing.T, folder string) image {
	t.Helper()
	b.run(ctx, t, "bud", "--isolation", "chroot", "--quiet", "--format", "docker", "--tag", folder,
		"--build-arg", "IMAGE=localhost/gateway", "--build-arg", "ADAPTER=localhost/adapter", filepath.Join("..", "platforms", folder))
	return b.open(ctx, t, folder)
}

// An image is the configuration of an image, and its file system.
type image struct {
	root       string
	User       string
	Env        []string
	Entrypoint []string
	Cmd        []string
	Volumes    map[string]any
	StopSignal string
	Health     struct{ Test []string } `json:"Healthcheck"`
}

// open returns an image that was built.
func (b *builder) open(ctx context.Context, t *testing.T, tag string) image {
	t.Helper()
	var inspected struct {
		Docker struct {
			Config image `json:"config"`
		}
	}
	must(t, json.Unmarshal([]byte(b.run(ctx, t, "inspect", "--type", "image", tag)), &inspected))
	i := inspected.Docker.Config
	i.root = b.run(ctx, t, "mount", b.run(ctx, t, "from", "--pull-never", tag))
	return i
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
