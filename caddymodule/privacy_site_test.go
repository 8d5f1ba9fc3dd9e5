package caddymodule

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(blabHandler{})
	httpcaddyfile.RegisterHandlerDirective("test_blab", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return &blabHandler{Does: h.RemainingArgs()}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_blab", httpcaddyfile.Before, "respond")
}

// blabHandler is somebody else's handler, whose errors and panics quote all that
// it got.
type blabHandler struct {
	Does []string `json:"does,omitempty"`
}

func (blabHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_blab", New: func() caddy.Module { return new(blabHandler) }}
}

func (b blabHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	body := make([]byte, 4<<10)
	n, _ := r.Body.Read(body)
	said := fmt.Errorf("%s %v %s", r.URL.RawQuery, r.Header, body[:n])
	for _, does := range b.Does {
		switch does {
		case "status":
			w.WriteHeader(http.StatusOK)
		case "panic":
			panic(said)
		case "500":
			return caddyhttp.Error(http.StatusInternalServerError, said)
		case "502":
			return caddyhttp.Error(http.StatusBadGateway, said)
		}
	}
	return nil
}

// A privateSite is a site whose every secret is planted.
type privateSite struct {
	*adminSite
	*planting

	secrets  string // the folder of the secrets' files
	good     *backend
	blabber  *blabber
	http2    string // the blabber's other address
	fastCGI  string // and its third
	results  []plantedResult
	notes    []string // the ids of those at SOAPNoteAPI
	away     string   // where nobody listens
	standard string   // the file that standard output and error go to

	soapnotes []string // SOAPNoteAPI's secrets
	sonioxes  []string // Soniox's, of the environment and the file
}

func newPrivateSite(t *testing.T) *privateSite {
	t.Helper()
	standard := redirectStandard(t)
	s := &privateSite{
		adminSite: &adminSite{site: newSite(t), admin: "127.0.0.1:" + freePort(t)}, planting: newPlanting(),
		secrets: t.TempDir(), standard: standard, good: newBackend(t), away: "127.0.0.1:" + freePort(t),
	}
	s.blabber = newBlabber(t, s.place("an upstream's words"))
	s.http2 = s.blabber.listen(t, s.blabber.serveHTTP2)
	s.fastCGI = s.blabber.listen(t, s.blabber.serveFastCGI)

	s.plantResults()

	autosave := caddy.ConfigAutosavePath
	caddy.ConfigAutosavePath = filepath.Join(s.dir, "autosave.json")
	t.Cleanup(func() { caddy.ConfigAutosavePath = autosave })

	s.soapnotes = []string{"whsec_" + s.place("SOAPNoteAPI's secret in the environment"), "whsec_" + s.place("SOAPNoteAPI's secret in a file")}
	s.sonioxes = []string{s.place("Soniox's secret in the environment"), s.place("Soniox's secret in a file")}
	for name, value := range map[string]string{
		"PLANTED_SOAPNOTE": s.soapnotes[0], "PLANTED_SONIOX": s.sonioxes[0],
		"PLANTED_SIGNING": "whsec_" + s.key("the signing secret"), "PLANTED_OWN_SIGNING": "whsec_" + s.key("an upstream's signing secret"),
		"PLANTED_KEY": s.key("the encryption key"), "PLANTED_OTHER_KEY": s.key("another encryption key"),
		"PLANTED_PASSWORD": s.place("an upstream's password"), "PLANTED_TOKEN": s.place("an upstream's token"),
		"PLANTED_NO_KEY": s.place("what is no key"), "PLANTED_NO_URL": "http://user:" + s.place("a password in what is no URL") + "%zz@127.0.0.1/",
	} {
		t.Setenv(name, value)
	}
	s.secretFile("soapnote", s.soapnotes[1])
	s.secretFile("soniox", s.sonioxes[1])
	s.secretFile("older-signing", "whsec_"+s.key("the older signing secret"))
	s.secretFile("older-key", s.key("the older encryption key"))
	return s
}

// key plants 32 bytes, and returns them in base64.
func (s *privateSite) key(what string) string {
	key := sha256.Sum256([]byte(what))
	value := base64.StdEncoding.EncodeToString(key[:])
	s.base64(what, value)
	return value
}

func (s *privateSite) secretFile(name, value string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.secrets, name), []byte(value+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// redirectStandard makes this process print into a file until the test ends: the lines of Go's
// standard logger, which do not go through Caddy's log, and all that is printed by mistake.
func redirectStandard(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "standard")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(out, errOut *os.File) {
		os.Stdout, os.Stderr = out, errOut
		// Caddy takes standard error for Go's standard logger when it loads a
		// configuration that names no log.
		if err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}}}`), true); err != nil {
			t.Error(err)
		}
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	}
	out, errOut := os.Stdout, os.Stderr
	swap(file, file)
	// The file stays open: loggers that Caddy makes once go on with it.
	t.Cleanup(func() { swap(out, errOut) })
	return path
}

// What stands literally in the configuration, and so in what shows it.
const (
	literalPassword = "an upstream's literal password"
	literalToken    = "an upstream's literal token"
)

// config is the test's Caddyfile. The engine is sqlite, or gated.
func (s *privateSite) config(engine string) string {
	s.t.Helper()
	var upstreams, checkpoints strings.Builder
	var names []string
	for _, name := range theBlabs {
		fmt.Fprintf(&upstreams, `
		upstream url-%[1]s http://user:{env.PLANTED_PASSWORD}@BLABBER/url/%[1]s?token={env.PLANTED_TOKEN} {
			format raw
			timeout 500ms
			retry 20ms 20ms
		}

		upstream route-%[1]s {
			format raw
			timeout 500ms
			retry 20ms 20ms
			route {
				rewrite /route/%[1]s?{query}
				reverse_proxy BLABBER
			}
		}
`, name)
		fmt.Fprintf(&checkpoints, `
	handle /checkpoint/%s {
		scribegate soapnoteapi {
			secret {env.PLANTED_SOAPNOTE}
			format raw
		}
		reverse_proxy BLABBER {
			transport http {
				response_header_timeout 500ms
			}
		}
	}
`, name)
		names = append(names, "url-"+name, "route-"+name)
	}
	_, adminPort, _ := strings.Cut(s.admin, ":")
	return strings.NewReplacer(
		"RESULTS", s.resultHandlers(),
		"BLABBING_UPSTREAMS", strings.ReplaceAll(upstreams.String(), "BLABBER", s.blabber.address),
		"BLABBING_CHECKPOINTS", strings.ReplaceAll(checkpoints.String(), "BLABBER", s.blabber.address),
		"BLABBING_NAMES", strings.Join(names, " "),
		"LITERAL_PASSWORD", s.place(literalPassword), "LITERAL_TOKEN", s.place(literalToken),
		"LOG", strings.TrimRight(shippedLog(s.t, filepath.Join(s.dir, "caddy.log")), "\n"),
		"ADMIN", adminPort, "DIR", s.dir, "SECRETS", s.secrets, "SITE", s.port, "ENGINE", engine,
		"GOOD", s.good.address(), "BLABBER", s.blabber.address, "HTTP2", s.http2, "FASTCGI", s.fastCGI, "AWAY", s.away,
	).Replace(fileText(s.t, "testdata/privacy.caddyfile"))
}

// shippedLog is the log block of the root Caddyfile, writing to a file.
func shippedLog(t *testing.T, file string) string {
	t.Helper()
	const begin = "\tlog default {\n"
	_, rest, found := strings.Cut(fileText(t, "../Caddyfile"), begin)
	block, _, closed := strings.Cut(rest, "\n\t}\n")
	if !found || !closed || !strings.Contains(block, "format scribegate") {
		t.Fatal("the root Caddyfile has no log block with `format scribegate`")
	}
	return begin + "\t\toutput file " + file + "\n" + block + "\n\t}\n"
}
