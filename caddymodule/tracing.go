package caddymodule

import (
	"context"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.17.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
)

// tracingModule is the id of Caddy's `tracing`.
const tracingModule = "http.handlers.tracing"

// tracerName is what our spans say that they were made by.
const tracerName = build.ModulePath

// newTracerProvider exports spans as Caddy's `tracing` does, by the OTEL_*
// variables of the environment. Caddy keeps its own to the requests that go
// through `tracing`; deliveries are made when there is none, such as just after
// a restart, and until after Caddy's has been shut down.
func newTracerProvider() (*sdktrace.TracerProvider, error) {
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

func newTracer(p trace.TracerProvider) trace.Tracer {
	return p.Tracer(tracerName, trace.WithInstrumentationVersion(build.Version()))
}

// tracingConfigured reports whether a site of the configuration has `tracing`.
// The configuration must have been provisioned.
func tracingConfigured(ctx caddy.Context) bool {
	app, err := ctx.AppIfConfigured("http")
	if err != nil {
		return false
	}
	for _, server := range app.(*caddyhttp.App).Servers {
		if hasTracing(server.Routes) {
			return true
		}
		for _, named := range server.NamedRoutes {
			if hasTracing(caddyhttp.RouteList{*named}) {
				return true
			}
		}
	}
	return false
}

func hasTracing(routes caddyhttp.RouteList) bool {
	for _, route := range routes {
		for _, handler := range route.Handlers {
			if m, ok := handler.(caddy.Module); ok && m.CaddyModule().ID == tracingModule {
				return true
			}
			if sub, ok := handler.(*caddyhttp.Subroute); ok && hasTracing(sub.Routes) {
				return true
			}
		}
	}
	return false
}
