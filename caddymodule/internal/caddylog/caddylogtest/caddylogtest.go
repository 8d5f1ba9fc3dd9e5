// Package caddylogtest makes loggers that write with the log encoder `scribegate`, for the tests
// of package caddylog and for the test of what no log line may contain.
package caddylogtest

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Logger returns a logger that writes with an encoder, given in JSON, and its output.
func Logger(t *testing.T, config string) (*zap.Logger, *bytes.Buffer) {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	var loader struct {
		EncoderRaw json.RawMessage `json:"encoder" caddy:"namespace=caddy.logging.encoders inline_key=format"`
	}
	loader.EncoderRaw = json.RawMessage(config)
	module, err := ctx.LoadModule(&loader, "EncoderRaw")
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

// Encoders are the ways to use the encoder `scribegate`, in JSON, by their names in tests.
var Encoders = map[string]string{
	"default":             `{"format":"scribegate"}`,
	"json":                `{"format":"scribegate","wrap":{"format":"json"}}`,
	"console":             `{"format":"scribegate","wrap":{"format":"console"}}`,
	"in a filter":         `{"format":"filter","wrap":{"format":"scribegate"},"fields":{"request>remote_ip":{"filter":"delete"}}}`,
	"in an append":        `{"format":"append","wrap":{"format":"scribegate"},"fields":{"server":"a"}}`,
	"around a filter":     `{"format":"scribegate","wrap":{"format":"filter","wrap":{"format":"json"},"fields":{"status":{"filter":"delete"}}}}`,
	"around another such": `{"format":"scribegate","wrap":{"format":"scribegate"}}`,
}
