package caddymodule

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/caddymodule/internal/tracing"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

// receiptSpanName is what the span of a receipt is called.
const receiptSpanName = "scribegate.receive"

// A receiptSpan is the span of one request: from its arrival until its event was
// stored or it was rejected, or, at a checkpoint, until the next handler has
// answered. It says nothing of the request beyond ids, names and reasons.
type receiptSpan struct{ trace.Span }

// startReceiptSpan begins the span below the one that Caddy's `tracing` has made
// for the request. Where it has made none there is no span.
func (h *Handler) startReceiptSpan(ctx context.Context) receiptSpan {
	outer := trace.SpanFromContext(ctx)
	if !outer.SpanContext().IsValid() {
		return receiptSpan{outer} // one that does nothing
	}
	// What is stored is a message, and this its creation; what is passed on is not.
	kind := trace.SpanKindProducer
	if len(h.DeliverTo) == 0 {
		kind = trace.SpanKindInternal
	}
	_, span := tracing.NewTracer(outer.TracerProvider()).Start(ctx, receiptSpanName, trace.WithSpanKind(kind),
		trace.WithAttributes(attribute.String("scribegate.provider", h.provider.Name())))
	return receiptSpan{span}
}

// note has the event carry the span, so that its deliveries join the trace.
func (s receiptSpan) note(e *event.Event) {
	if !s.SpanContext().IsValid() {
		return
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s.Span), carrier)
	e.TraceParent, e.TraceState = carrier.Get("traceparent"), carrier.Get("tracestate")
}

// received notes the event and what was decided about it.
func (s receiptSpan) received(e *event.Event, o receive.Outcome) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(
		attribute.String("scribegate.event_id", e.ID),
		attribute.String("scribegate.type", e.ShortType()),
		attribute.String("scribegate.outcome", string(o)),
	)
}

// rejected ends in an error only where the gateway is to blame. The event is nil
// unless the request was genuine.
func (s receiptSpan) rejected(reason verifier.Reason, e *event.Event) {
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(attribute.String("scribegate.outcome", string(receive.Rejected)), attribute.String("scribegate.reason", string(reason)))
	if e != nil {
		s.SetAttributes(attribute.String("scribegate.event_id", e.ID))
	}
	if reason == verifier.Unavailable {
		s.SetStatus(codes.Error, string(reason))
	}
}
