//go:build examples

package browsertest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/scribegate/scribegate/caddymodule"
	"github.com/scribegate/scribegate/verifier"
)

// The secrets of the providers, and the user of the console with the password.
const (
	noteSecret   = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	sonioxSecret = "soniox-test-value"

	user     = "alice"
	password = "correct horse"
	hash     = "$2a$04$xzvDGazwUbHoqel/h1goguNDcAHSls3fYv9.ig21X8rXm7/yxumly"
)

// queueKey seals the payloads.
var queueKey = []byte("the key of the browser's gateway")

// caddyfile has upper-case words for what a test puts there. A route runs in its written order,
// so that every request is recorded.
const caddyfile = `{
	admin off
	persist_config off
	auto_https off
	storage file_system DIR
	log default {
		format scribegate
		output file DIR/caddy.log
	}
	scribegate {
		queue sqlite {
			path DIR/queue.db
			encryption_key {env.QUEUE_KEY}
		}
		upstream ehr EHR {
			events note.generated note.failed transcription.completed
		}
		upstream warehouse WAREHOUSE {
			events note.generated
		}
		upstream archive ARCHIVE
	}
}

http://HOOKS {
	bind 127.0.0.1
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET} {env.SOAPNOTE_SECRET_NEXT}
		deliver_to ehr warehouse archive
	}
	scribegate /soniox soniox {
		header Authorization "Bearer {env.SONIOX_SECRET}"
		deliver_to ehr
	}
	respond 404
}

# Opened by a browser on this machine.
http://LOOPBACK {
	bind 127.0.0.1
	route {
		record loopback
		scribegate_console {
			allow_loopback
		}
	}
}

# Behind basic_auth.
http://GUARDED {
	bind 127.0.0.1
	route {
		record guarded
		basic_auth {
			USER
		}
		scribegate_console
	}
}

# As guarded, without actions.
http://READONLY {
	bind 127.0.0.1
	route {
		record readonly
		basic_auth {
			USER
		}
		scribegate_console {
			read_only
		}
	}
}

# Below a path, for users that a header names.
http://PREFIXED {
	bind 127.0.0.1
	route {
		record prefixed
		handle_path /ops/* {
			scribegate_console {
				user {header.X-Test-User}
			}
		}
	}
}

# Without authentication.
http://CLOSED {
	bind 127.0.0.1
	route {
		record closed
		scribegate_console
	}
}
`

// The names of the upstreams, and of the sites with a console.
var (
	upstreams = []string{"ehr", "warehouse", "archive"}
	consoles  = []string{"loopback", "guarded", "readonly", "prefixed", "closed"}
)

// A site is a running gateway with its backends and its consoles.
type site struct {
	dir      string
	hooks    string            // the address of the providers' webhooks
	consoles map[string]string // the URLs of the consoles by the sites' names
	backends map[string]*backend
}

// newSite stores made-up events and starts the gateway.
func newSite(t *testing.T) *site {
	t.Helper()
	for name, value := range map[string]string{"SOAPNOTE_SECRET": noteSecret, "SONIOX_SECRET": sonioxSecret, "SOAPNOTE_SECRET_NEXT": "", "QUEUE_KEY": base64.StdEncoding.EncodeToString(queueKey)} {
		t.Setenv(name, value)
	}
	addresses := freeAddresses(t, 1+len(upstreams)+len(consoles))
	next := func() (address string) {
		address, addresses = addresses[0], addresses[1:]
		return address
	}
	s := &site{dir: t.TempDir(), hooks: next(), consoles: make(map[string]string), backends: make(map[string]*backend)}
	words := []string{"DIR", s.dir, "USER", user + " " + hash, "HOOKS", ":" + port(s.hooks)}
	for _, name := range upstreams {
		s.backends[name] = newBackend(t, next())
		words = append(words, strings.ToUpper(name), "http://"+s.backends[name].address+"/events")
	}
	for _, name := range consoles {
		p := port(next())
		s.consoles[name] = "http://localhost:" + p + "/"
		words = append(words, strings.ToUpper(name), ":"+p)
	}
	s.consoles["prefixed"] += "ops/"
	s.backends["warehouse"].stop() // so that it is paused before a script runs
	fillStore(t, filepath.Join(s.dir, "queue.db"))
	fillHour(time.Now())

	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(strings.NewReplacer(words...).Replace(caddyfile)), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err, warnings)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
		if t.Failed() {
			s.printLog(t)
		}
	})
	return s
}

// printLog prints the end of Caddy's log.
func (s *site) printLog(t *testing.T) {
	t.Helper()
	const most = 8 << 10
	content, err := os.ReadFile(filepath.Join(s.dir, "caddy.log"))
	if err != nil {
		t.Error(err)
	}
	t.Logf("the end of Caddy's log:\n%s", content[max(0, len(content)-most):])
}

// freeAddresses returns n different loopback addresses at which no process listens.
func freeAddresses(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // after the last is found, so that all differ
		all = append(all, l.Addr().String())
	}
	return all
}

// port returns the port of an address.
func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// A webhook is a request of a provider.
type webhook struct {
	Provider string // soapnoteapi or soniox
	Subject  string
	Type     string // the short type
	Body     string // instead of the one that Subject and Type make
	Forged   bool   // with a wrong signature or header
}

// payload returns the body of the request.
func (h webhook) payload() string {
	if h.Body != "" {
		return h.Body
	}
	at := time.Now().UTC()
	const layout = "2006-01-02T15:04:05.000Z"
	switch h.Type {
	case "transcription.completed", "transcription.error":
		return fmt.Sprintf(`{"id":%q,"status":%q}`, h.Subject, strings.TrimPrefix(h.Type, "transcription."))
	case "note.failed":
		return fmt.Sprintf(`{"event":"note.failed","note_id":%q,"status":"failed","created_at":%q}`, h.Subject, at.Format(layout))
	}
	return fmt.Sprintf(`{"event":%q,"note_id":%q,"status":"completed","created_at":%q,"data":{"noteId":%[2]q,"subjective":%[4]q,"expires_at":%[5]q}}`,
		h.Type, h.Subject, at.Format(layout), planted, at.Add(24*time.Hour).Format(layout))
}

// send sends a webhook, and returns the status and the id of the event.
func (s *site) send(ctx context.Context, h webhook) (status int, id string, err error) {
	body := []byte(h.payload())
	path := "/soapnote"
	header := make(http.Header)
	switch h.Provider {
	case "soniox":
		path = "/soniox?patient=" + planted
		header.Set("Authorization", "Bearer "+sonioxSecret)
	default:
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		header.Set(verifier.TimestampHeader, timestamp)
		header.Set(verifier.SignatureHeader, verifier.Sign(noteSecret, timestamp, body))
	}
	if h.Forged {
		body = append(body, ' ')
		header.Set("Authorization", "Bearer of nothing")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.hooks+path, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	var answer struct {
		ID string `json:"id"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&answer) // a rejection has no body
	return resp.StatusCode, answer.ID, nil
}
