package queue

// A State is the state of a delivery, or of an event as a whole.
type State string

// The states of a delivery.
const (
	Pending   State = "pending"
	Delivered State = "delivered"
	Dead      State = "dead"
)

// The states of an event that is kept with its payload and without deliveries.
const (
	Quarantined State = "quarantined" // genuine bytes that are not an event
	Unrouted    State = "unrouted"    // no upstream accepts it
	Unconfirmed State = "unconfirmed" // its provider has no record of it
)

// States lists all states.
var States = []State{Pending, Delivered, Dead, Quarantined, Unrouted, Unconfirmed}

// SetAside reports whether an event in the state is set aside: it has no deliveries and
// is kept with its payload for DeadRetention.
func (s State) SetAside() bool { return s == Quarantined || s == Unrouted || s == Unconfirmed }
