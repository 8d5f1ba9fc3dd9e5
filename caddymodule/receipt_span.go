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

// receiptSpanName is the name of the span of a receipt.
const receiptSpanName = "scribegate.receive"

// A receiptSpan is the span of one request: from its arrival until its event is stored or it is
// rejected, or, at a checkpoint, until the next handler has answered. Its attributes are ids,
// names and reasons only.
type receiptSpan struct{ trace.Span }

// startReceiptSpan starts the span below that of Caddy's `tracing`. Without `tracing` it returns a
// span that does nothing.
func (h *Handler) startReceiptSpan(ctx context.Context) receiptSpan {
	outer := trace.SpanFromContext(ctx)
	if !outer.SpanContext().IsValid() {
		return receiptSpan{outer}
	}
	// A stored event is a message that is consumed later. An event that is passed on is not.
	kind := trace.SpanKindProducer
	if len(h.DeliverTo) == 0 {
		kind = trace.SpanKindInternal
	}
	_, span := tracing.NewTracer(outer.TracerProvider()).Start(ctx, receiptSpanName, trace.WithSpanKind(kind),
		trace.WithAttributes(attribute.String("scribegate.provider", h.provider.Name())))
	return receiptSpan{span}
}

// note puts the span's context into the event, so that its deliveries belong to the same trace.
func (s receiptSpan) note(e *event.Event) {
	if !s.SpanContext().IsValid() {
		return
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(trace.ContextWithSpan(context.Background(), s.Span), carrier)
	e.TraceParent, e.TraceState = carrier.Get("traceparent"), carrier.Get("tracestate")
}

// received sets the attributes of the event and its outcome.
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

// rejected sets the attributes of a rejected request. The span is an error only if the gateway
// could not do its part. The event is nil unless the request is genuine.
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
