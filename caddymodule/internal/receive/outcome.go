package receive

// An Outcome is the decision about one request. The set is closed: metrics, the
// audit trail, spans and placeholders share its words.
type Outcome string

// The outcomes.
const (
	Accepted  Outcome = "accepted"  // stored for its upstreams
	Duplicate Outcome = "duplicate" // received before
	Unrouted  Outcome = "unrouted"  // no upstream takes its type
	Dropped   Outcome = "dropped"   // its type is in `drop`
	Passed    Outcome = "passed"    // passed to the next handler by a checkpoint
	Rejected  Outcome = "rejected"
)
