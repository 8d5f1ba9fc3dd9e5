package tracing

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.17.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
)

// tracerName is the name of the instrumentation in our spans.
const tracerName = build.ModulePath

// NewProvider returns a provider that exports spans as Caddy's `tracing` does, configured by
// the OTEL_* variables of the environment. Caddy's own provider exists only while requests go
// through `tracing`. Deliveries need one at other times too, such as just after a restart, and
// after Caddy's has been shut down.
func NewProvider() (*sdktrace.TracerProvider, error) {
	exporter, err := autoexport.NewSpanExporter(context.Background())
	if err != nil {
		return nil, fmt.Errorf("making the exporter of spans: %w", err)
	}
	server, _ := caddy.Version()
	from, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		semconv.WebEngineName(caddyhttp.ServerHeader), semconv.WebEngineVersion(server)))
	if err != nil {
		return nil, fmt.Errorf("describing where spans are from: %w", err)
	}
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(from)), nil
}

// exportGrace is how long the export of the last spans may take.
const exportGrace = 2 * time.Second

// Close exports the last spans of a provider, and closes it. It returns an error if the spans
// are lost, since their collector cannot be reached or takes longer than exportGrace.
func Close(p *sdktrace.TracerProvider) error {
	ctx, cancel := context.WithTimeout(context.Background(), exportGrace)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		return fmt.Errorf("exporting the last spans: %w", err)
	}
	return nil
}

// NewTracer returns the tracer for the spans of this program.
func NewTracer(p trace.TracerProvider) trace.Tracer {
	return p.Tracer(tracerName, trace.WithInstrumentationVersion(build.Version()))
}
