package load

import "time"

// avoidance is how long a sender prefers other gateways to one that has not acknowledged a request.
const avoidance = time.Second

// A balancer has the connections of a sender to the gateways, and chooses between them as a load
// balancer does.
type balancer struct {
	conns []*Connection // that of the preferred gateway first
	avoid []time.Time   // when each of them is preferred again
}

// balancer returns a balancer whose connections connect when they are first used.
func (f Fleet) balancer() *balancer {
	b := &balancer{conns: []*Connection{f.Connect()}}
	for _, url := range f.Others {
		other := f
		other.URL = url
		b.conns = append(b.conns, other.Connect())
	}
	b.avoid = make([]time.Time, len(b.conns))
	return b
}

// choose returns the first connection that is not avoided, or the one that failed first.
func (b *balancer) choose() int {
	chosen := 0
	for i, until := range b.avoid {
		if time.Now().After(until) {
			return i
		}
		if until.Before(b.avoid[chosen]) {
			chosen = i
		}
	}
	return chosen
}

// failed records that a gateway has not acknowledged a request.
func (b *balancer) failed(i int) { b.avoid[i] = time.Now().Add(avoidance) }

func (b *balancer) close() {
	for _, c := range b.conns {
		c.Close()
	}
}
