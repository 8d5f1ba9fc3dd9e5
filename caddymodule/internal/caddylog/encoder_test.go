package caddylog

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/logging" // the encoders that the tests wrap
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/internal/caddylog/caddylogtest"
)

// What is not removed is written as without the encoder.
func TestEncoderLeavesTheRest(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://hooks.example.com/soniox?user_id=1", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr = "/soniox?user_id=1", "192.0.2.1:1234"
	r.Header.Set("X-Webhook-Secret", "the secret")
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
			log, out := caddylogtest.Logger(t, caddylogtest.Encoders["default"])
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
func TestEncoderInAFilter(t *testing.T) {
	t.Parallel()
	log, out := caddylogtest.Logger(t, caddylogtest.Encoders["in a filter"])
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
func TestEncoderIsMisconfigured(t *testing.T) {
	t.Parallel()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	defer cancel()
	for _, wrap := range []string{`{"format":"none"}`, `{}`, `1`} {
		e := &Encoder{WrappedRaw: json.RawMessage(wrap)}
		if err := e.Provision(ctx); err == nil {
			t.Errorf("%s is accepted", wrap)
		}
	}
}
