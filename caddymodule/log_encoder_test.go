package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// encoderLogger returns a logger of an encoder, given in JSON, and what it writes.
func encoderLogger(t *testing.T, config string) (*zap.Logger, *bytes.Buffer) {
	t.Helper()
	var loader struct {
		EncoderRaw json.RawMessage `json:"encoder" caddy:"namespace=caddy.logging.encoders inline_key=format"`
	}
	loader.EncoderRaw = json.RawMessage(config)
	module, err := newContext(t).LoadModule(&loader, "EncoderRaw")
	if err != nil {
		t.Fatal(err)
	}
	encoder := module.(zapcore.Encoder)
	if c, ok := encoder.(caddy.ConfiguresFormatterDefault); ok {
		if err := c.ConfigureDefaultFormat(caddy.DiscardWriter{}); err != nil {
			t.Fatal(err)
		}
	}
	out := new(bytes.Buffer)
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(out), zapcore.DebugLevel)), out
}

// encoders are the ways to use the encoder, by what a test calls them.
var encoders = map[string]string{
	"default":             `{"format":"scribegate"}`,
	"json":                `{"format":"scribegate","wrap":{"format":"json"}}`,
	"console":             `{"format":"scribegate","wrap":{"format":"console"}}`,
	"in a filter":         `{"format":"filter","wrap":{"format":"scribegate"},"fields":{"request>remote_ip":{"filter":"delete"}}}`,
	"in an append":        `{"format":"append","wrap":{"format":"scribegate"},"fields":{"server":"a"}}`,
	"around a filter":     `{"format":"scribegate","wrap":{"format":"filter","wrap":{"format":"json"},"fields":{"status":{"filter":"delete"}}}}`,
	"around another such": `{"format":"scribegate","wrap":{"format":"scribegate"}}`,
}

// zap logs more of an error that formats itself, and of one that has several.
type (
	verboseError string
	severalError string
)

func (e verboseError) Error() string              { return fmt.Sprintf("reading %q", string(e)) }
func (e verboseError) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, string(e)) }
func (e severalError) Error() string              { return fmt.Sprintf("reading %q", string(e)) }
func (e severalError) Errors() []error            { return []error{errors.New(string(e))} }

// logRequest writes the lines that Caddy writes about a request, an answer that
// repeats it, and the errors that quote it.
func logRequest(log *zap.Logger, r *http.Request, body string) {
	request := zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r, ShouldLogCredentials: true})
	all := caddyhttp.LoggableHTTPHeader{Header: r.Header, ShouldLogCredentials: true}
	quoting := fmt.Errorf("malformed HTTP response \"%s\r\n%s\"", body, body)
	mime := errors.New("malformed MIME header line: " + body)

	log.Named("http.log.access").Info("handled request", request, zap.Int("status", 200), zap.Object("resp_headers", all))
	for _, name := range []string{"http.log.error", "http.log.error.log0", "http.stdlib"} {
		log.Named(name).Error(quoting.Error(), request, zap.Error(quoting))
		log.Named(name).Error(mime.Error(), request, zap.Error(mime))
	}
	log.Named("http.log.error").Error("error handling handler error", zap.Error(quoting), zap.Namespace("first_error"), zap.String("msg", quoting.Error()), request)
	log.Named("http.handlers.reverse_proxy").Debug("upstream roundtrip", request, zap.Object("headers", all), zap.Error(mime))
	log.Named("http.handlers.reverse_proxy").Debug("backend tried to switch", zap.String("backend_upgrade", body), zap.String("requested_upgrade", r.Header.Get("Upgrade")))
	log.Named("http.handlers.rewrite").Debug("rewrote request", request, zap.String("uri", r.URL.RequestURI()))
	log.Named("http.handlers.push").Debug("pushing resource", zap.String("uri", r.URL.RequestURI()), zap.Object("push_headers", all))
	log.Named("http.reverse_proxy.transport.fastcgi").Debug("roundtrip", request, zap.Object("env", all))
	log.Named("http.reverse_proxy.transport.fastcgi").Error("stderr", zap.ByteString("body", []byte(body)))
	log.Named("http.handlers.reverse_proxy").Error("panic", zap.Any("error", []string{body}), zap.String("stack", "stack"))
	log.Named("http.handlers.reverse_proxy").Error("an error with details", zap.Error(verboseError(body)))
	log.Named("http.handlers.reverse_proxy").Error("several errors", zap.Error(severalError(body)))
	log.With(request, zap.Object("headers", all)).Named("admin.api").Info("received request", zap.String("uri", r.URL.RequestURI()))
}

// Nothing of what the privacy test plants in requests is in a line of Caddy's.
func TestLogEncoderRemovesWhatIsPlanted(t *testing.T) {
	t.Parallel()
	for name, config := range encoders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &privateSite{adminSite: &adminSite{site: &site{t: t, url: "http://127.0.0.1"}}, planting: newPlanting()}
			s.soapnotes = []string{"whsec_" + s.place("SOAPNoteAPI's secret"), "whsec_" + s.place("another secret of SOAPNoteAPI")}
			s.sonioxes = []string{s.place("Soniox's secret"), s.place("another secret of Soniox")}
			log, out := encoderLogger(t, config)
			requests := slices.Concat(s.acceptedRequests(), s.invalidRequests(), s.forgedRequests(), s.checkpointRequests())
			for _, r := range requests {
				r.RequestURI = r.URL.RequestURI()
				body, err := io.ReadAll(io.LimitReader(r.Body, 4<<10))
				if err != nil {
					t.Fatal(err)
				}
				logRequest(log, r, string(body))
			}
			for what, found := range s.found(out.Bytes()) {
				t.Errorf("the log has %s: %s", what, found)
			}
			if lines := bytes.Count(out.Bytes(), []byte("\n")); lines != 18*len(requests) || len(requests) < 50 {
				t.Errorf("%d lines about %d requests", lines, len(requests))
			}
		})
	}
}

// What is not removed is written as without the encoder.
func TestLogEncoderLeavesTheRest(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example.com/soniox?user_id=1", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr = "/soniox?user_id=1", "192.0.2.1:1234"
	r.Header.Set(sonioxHeader, testSoniox)
	request := zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r})
	const inRequest = `"request":{"remote_ip":"192.0.2.1","remote_port":"1234","proto":"HTTP/1.1","method":"POST","host":"hooks.example.com","uri":"/soniox?filtered"}`
	for name, c := range map[string]struct {
		write func(*zap.Logger)
		want  string // behind the level and the time
	}{
		"an access log": {
			func(l *zap.Logger) {
				l.Info("handled request", request, zap.Int("status", 200), zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: r.Header}), zap.String("event_id", "id"))
			},
			`"msg":"handled request",` + inRequest + `,"status":200,"event_id":"id"`,
		},
		"fields of the logger": {
			func(l *zap.Logger) {
				l.With(request, zap.String("upstream", "w1:9000")).Info("rewrote request", zap.String("uri", "/ingest?a=b?c"))
			},
			`"msg":"rewrote request",` + inRequest + `,"upstream":"w1:9000","uri":"/ingest?filtered"`,
		},
		"an error": {
			func(l *zap.Logger) {
				l.Named("http.log.error").Error("dial tcp: connection refused", zap.Error(errors.New(`parse "a" and "b": wrong`)))
			},
			`"logger":"http.log.error","msg":"dial tcp: connection refused","error":"parse ?filtered: wrong"`,
		},
		"another logger's message": {
			func(l *zap.Logger) { l.Named("http.log.errors").Info(`certificate "a"`, zap.String("uri", "/a")) },
			`"logger":"http.log.errors","msg":"certificate \"a\"","uri":"/a"`,
		},
		"no fields": {func(l *zap.Logger) { l.Info("started") }, `"msg":"started"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, out := encoderLogger(t, encoders["default"])
			c.write(log)
			_, got, _ := strings.Cut(out.String(), `,"ts":`)
			_, got, _ = strings.Cut(got, ",")
			if got != c.want+"}\n" {
				t.Errorf("the line is %s, want it to end with %s", out.String(), c.want)
			}
		})
	}
}

// Other fields can be removed by a filter around the encoder.
func TestLogEncoderInAFilter(t *testing.T) {
	t.Parallel()
	log, out := encoderLogger(t, encoders["in a filter"])
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example.com/soniox", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	log.Info("handled request", zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r}))
	if line := out.String(); strings.Contains(line, "192.0.2.1") || !strings.Contains(line, "hooks.example.com") {
		t.Errorf("the line is %s", line)
	}
}

// An encoder without a module to wrap, or with one that does not exist, is an error.
func TestLogEncoderIsMisconfigured(t *testing.T) {
	t.Parallel()
	for _, wrap := range []string{`{"format":"none"}`, `{}`, `1`} {
		e := &LogEncoder{WrappedRaw: json.RawMessage(wrap)}
		if err := e.Provision(newContext(t)); err == nil {
			t.Errorf("%s is accepted", wrap)
		}
	}
}
