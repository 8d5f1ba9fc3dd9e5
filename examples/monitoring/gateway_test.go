//go:build examples

package monitoring_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// Synthetic secrets, used only in these tests.
const (
	newSecret    = "whsec_c3ludGhldGljLXNvYXBub3RlLW5ldw"
	oldSecret    = "whsec_c3ludGhldGljLXNvYXBub3RlLW9sZA"
	otherSecret  = "whsec_c3ludGhldGljLXNvYXBub3RlLW90aGVy"
	sonioxSecret = "synthetic-soniox-secret"
)

// upstreams are the upstreams of the tests' gateway: ehr accepts everything, lab
// answers 410 until it is repaired, warehouse rejects everything, archive does not
// answer in time, and no program listens at away.
var upstreams = []string{"archive", "away", "ehr", "lab", "warehouse"}

// A site is a running gateway with upstreams of every kind.
type site struct {
	gateway  *stage.Gateway
	soniox   *standin.Server // plays Soniox's REST API, with an account that is nearly full
	binary   string
	url      string // where the providers POST
	metrics  string // host and port of the README's site for the metrics
	repaired atomic.Bool

	dir, backends, api string
	ports              []string
}

// The option for the queue in the Caddyfile: the default, or a queue that is full.
const (
	defaultQueue = ""
	fullQueue    = "queue sqlite {\n\t\t\tmax_size 1KiB\n\t\t}"
)

func startSite(ctx context.Context, t *testing.T) *site {
	t.Helper()
	ports, err := stage.Ports(ctx, 4)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{
		binary:  caddy(t),
		url:     "http://127.0.0.1:" + ports[1],
		metrics: "127.0.0.1:" + ports[2],
		soniox:  standin.New(standin.Options{Playground: 1700}),
		dir:     t.TempDir(),
		ports:   ports,
	}
	api := httptest.NewServer(s.soniox)
	t.Cleanup(func() {
		s.soniox.Close()
		api.Close()
	})
	s.api = api.URL
	backends := httptest.NewServer(s.backend())
	t.Cleanup(backends.Close)
	s.backends = backends.URL
	config := s.caddyfile(t, defaultQueue)
	s.gateway, err = stage.StartGateway(ctx, s.binary, config, s.dir, "http://"+s.admin())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.gateway.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// admin returns the host and port of the admin endpoint.
func (s *site) admin() string { return "127.0.0.1:" + s.ports[0] }

func (s *site) backend() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ehr", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("/lab", func(w http.ResponseWriter, _ *http.Request) {
		if !s.repaired.Load() {
			w.WriteHeader(http.StatusGone)
		}
	})
	mux.HandleFunc("/warehouse", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) })
	mux.HandleFunc("/archive", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices a closed connection only after the body is read
		<-r.Context().Done()
	})
	return mux
}

var readmeSite = regexp.MustCompile("(?s)```caddyfile\n(:2020 .*?)```")

// caddyfile writes the gateway's configuration, with the README's site for the
// metrics, and returns the path.
func (s *site) caddyfile(t *testing.T, queue string) string {
	t.Helper()
	found := readmeSite.FindStringSubmatch(read(t, "README.md"))
	if found == nil {
		t.Fatal("the README has no site for the metrics")
	}
	metricsSite := strings.NewReplacer(":2020", ":"+s.ports[2], "10.0.0.5", "127.0.0.1").Replace(found[1])
	return write(t, filepath.Join(s.dir, "Caddyfile"), fmt.Sprintf(`{
	admin %s
	scribegate {
		%s
		upstream ehr %[3]s/ehr {
			events *
		}
		upstream lab %[3]s/lab {
			retry 1h
		}
		upstream warehouse %[3]s/warehouse {
			retry 1h 1h
		}
		upstream archive %[3]s/archive {
			timeout 1s
			retry 1h 1h
		}
		upstream away http://127.0.0.1:%s {
			events note.generated
		}
	}
}

:%s {
	bind 127.0.0.1
	scribegate /soapnote soapnoteapi {
		secret %s %s
		deliver_to ehr lab warehouse archive away
	}
	scribegate /strict soapnoteapi {
		secret %[6]s
		source urn:strict
		drop note.failed
		deliver_to away
	}
	handle /checkpoint {
		scribegate soapnoteapi {
			secret %[6]s
		}
		respond 204
	}
	scribegate /soniox soniox {
		header Authorization "Bearer %[8]s"
		api_key %[10]s
		api_base %[11]s
		webhook_url %[12]s/soniox
		deliver_to ehr
	}
}

%[9]s`, s.admin(), queue, s.backends, s.ports[3], s.ports[1], newSecret, oldSecret, sonioxSecret, metricsSite, standin.SonioxKey, s.api, s.url))
}

// reload reloads the gateway with another queue option.
func (s *site) reload(ctx context.Context, t *testing.T, queue string) {
	t.Helper()
	run(ctx, t, s.binary, "reload", "--config", s.caddyfile(t, queue), "--adapter", "caddyfile", "--address", s.admin())
}

// A status is the part of GET /scribegate/status that the tests need.
type status struct {
	Queue struct {
		MaxBytes float64 `json:"max_bytes"`
	}
	Upstreams []struct {
		Name    string
		Pending int
		Dead    int
		Paused  bool
	}
}

func (s *site) status(ctx context.Context, t *testing.T) (st status) {
	t.Helper()
	out := run(ctx, t, s.binary, "scribegate", "status", "--json", "--address", s.admin())
	if err := json.Unmarshal([]byte(out), &st); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return st
}
