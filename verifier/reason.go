package verifier

// A Reason is why a request was rejected. The set is closed; logs, metrics and
// tests share it. The answer to the provider never contains it.
type Reason string

// The reasons, in the order in which a request is checked.
const (
	Method             Reason = "method"
	Encoding           Reason = "encoding"
	TooLarge           Reason = "too_large"
	HeaderRepeated     Reason = "header_repeated"
	SignatureMissing   Reason = "signature_missing"
	TimestampMissing   Reason = "timestamp_missing"
	SignatureMalformed Reason = "signature_malformed"
	TimestampMalformed Reason = "timestamp_malformed"
	TimestampStale     Reason = "timestamp_stale"
	TimestampFuture    Reason = "timestamp_future"
	AuthMissing        Reason = "auth_missing"
	AuthMismatch       Reason = "auth_mismatch"
	Incomplete         Reason = "incomplete"
	SignatureMismatch  Reason = "signature_mismatch"
	Payload            Reason = "payload"
	Unavailable        Reason = "unavailable"
)

// Reasons lists all of them.
var Reasons = []Reason{
	Method, Encoding, TooLarge, HeaderRepeated,
	SignatureMissing, TimestampMissing, SignatureMalformed, TimestampMalformed, TimestampStale, TimestampFuture,
	AuthMissing, AuthMismatch, Incomplete, SignatureMismatch, Payload, Unavailable,
}

// A Rejection is the error of a request that is not genuine. It holds the
// reason and nothing of the request.
type Rejection struct {
	Reason Reason
}

func (r *Rejection) Error() string { return "request rejected: " + string(r.Reason) }

// A PayloadError is the error of a genuine request whose body is not the
// provider's JSON. What describes the mistake and quotes nothing of the body.
type PayloadError struct {
	What string
}

func (p *PayloadError) Error() string { return "invalid payload: " + p.What }
