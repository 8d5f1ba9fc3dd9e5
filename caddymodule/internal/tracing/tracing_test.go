package tracing

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// collector starts a collector of spans, which the variables of the environment name.
func collector(t *testing.T, answer http.HandlerFunc) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"OTEL_TRACES_EXPORTER":        "otlp",
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL,
		"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
		"OTEL_EXPORTER_OTLP_TIMEOUT":  "600000", // ten minutes
	} {
		t.Setenv(name, value)
	}
}

// A collector that never answers delays the end by no more than the grace, and the loss of the
// spans is reported.
func TestCloseWithACollectorThatHangs(t *testing.T) {
	asked, hold := make(chan struct{}), make(chan struct{})
	collector(t, func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-hold
	})
	t.Cleanup(func() { close(hold) }) // before the collector is closed
	p, err := NewProvider()
	if err != nil {
		t.Fatal(err)
	}
	_, span := NewTracer(p).Start(t.Context(), "span")
	span.End()
	closed := make(chan error, 1)
	go func() { closed <- Close(p) }()
	<-asked
	select {
	case err := <-closed:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	case <-time.After(commandtest.WaitTimeout):
		t.Error("the collector is waited for")
	}
}

// The spans that are left are exported at the end.
func TestCloseExportsTheLastSpans(t *testing.T) {
	paths := make(chan string, 1)
	collector(t, func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path })
	p, err := NewProvider()
	if err != nil {
		t.Fatal(err)
	}
	_, span := NewTracer(p).Start(t.Context(), "span")
	span.End()
	if err := Close(p); err != nil {
		t.Error(err)
	}
	select {
	case path := <-paths:
		if path != "/v1/traces" {
			t.Errorf("exported to %s", path)
		}
	default:
		t.Error("nothing is exported")
	}
}
