package forwarder

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// clustered runs a test in a bubble with so many nodes.
func clustered(t *testing.T, n int, test func(t *testing.T, c *memCluster, nodes []*memNode)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster()
		var nodes []*memNode
		for range n {
			nodes = append(nodes, c.join(t, Upstream{}))
		}
		test(t, c, nodes)
	})
}

// attempts returns the attempts of all nodes, in order.
func attempts(nodes []*memNode) (all []sending) {
	for _, n := range nodes {
		all = append(all, n.to("")...)
	}
	slices.SortFunc(all, func(a, b sending) int { return a.at.Compare(b.at) })
	return all
}

func reply(nodes []*memNode, with func(string) (Answer, error)) {
	for _, n := range nodes {
		n.now(with)
	}
}

func pausedNodes(nodes []*memNode) (paused int) {
	for _, n := range nodes {
		if n.paused() {
			paused++
		}
	}
	return paused
}

// A Retry-After that one node gets holds on all, and no success ends it.
func TestSharedRetryAfter(t *testing.T) {
	clustered(t, 3, func(t *testing.T, c *memCluster, nodes []*memNode) {
		reply(nodes, func(string) (Answer, error) { return Answer{Status: 429, RetryAfter: "60"}, nil })
		c.add("ehr", false)
		elapse(10 * time.Millisecond)
		if n := len(attempts(nodes)); n != 1 || pausedNodes(nodes) != 3 {
			t.Fatalf("%d attempts, %d nodes paused; want 1 and 3", n, pausedNodes(nodes))
		}
		for i, n := range nodes {
			s := n.d.Status()[0]
			if s.PauseReason != RetryAfter || time.Until(s.PausedUntil) < 59*time.Second {
				t.Errorf("status of node %d: %+v", i, s)
			}
			if got := n.obs.pauses(); !slices.Equal(got, []string{"paused ehr"}) {
				t.Errorf("node %d reports %v", i, got)
			}
		}
		reply(nodes, always(200))
		for range 30 {
			c.add("ehr", false)
			elapse(time.Second)
		}
		if n := len(attempts(nodes)); n != 1 {
			t.Fatalf("%d attempts during the pause", n-1)
		}
		elapse(31 * time.Second)
		if n := c.count("ehr", queue.Delivered); n != 31 {
			t.Errorf("%d of 31 delivered after the pause", n)
		}
	})
}

// While an upstream is away, the cluster makes one probe at a time, by one schedule. When
// one gets through, all nodes deliver at once.
func TestSharedOutage(t *testing.T) {
	clustered(t, 3, func(t *testing.T, c *memCluster, nodes []*memNode) {
		reply(nodes, refused)
		for range 5 * len(nodes) {
			c.add("ehr", false)
		}
		elapse(500 * time.Millisecond)
		if pausedNodes(nodes) != 3 {
			t.Fatalf("%d of 3 nodes are paused", pausedNodes(nodes))
		}
		for range 500 {
			c.add("ehr", false)
		}
		before := len(attempts(nodes))
		elapse(10 * time.Minute)
		probes := attempts(nodes)[before:]
		makers := 0
		for _, n := range nodes {
			if len(n.to("")) > 0 {
				makers++
			}
		}
		if len(probes) < 12 || len(probes) > 15 || makers < 2 {
			t.Fatalf("%d probes in ten minutes, by %d nodes", len(probes), makers)
		}
		for i, seconds := range []float64{2, 4, 8, 16, 32, 60, 60} {
			want := time.Duration(seconds * float64(time.Second))
			if got := probes[i+1].at.Sub(probes[i].at); got < want || got > want+want/5 {
				t.Errorf("probe %d came %s after the one before, want %s", i+2, got, want)
			}
			if probes[i].id == probes[i+1].id {
				t.Errorf("probes %d and %d are with the same event", i+1, i+2)
			}
		}
		reply(nodes, always(200))
		elapse(67 * time.Second)
		if c.count("ehr", queue.Delivered) != 515 || pausedNodes(nodes) != 0 {
			t.Fatalf("%d delivered, %d nodes paused", c.count("ehr", queue.Delivered), pausedNodes(nodes))
		}
		for i, n := range nodes {
			if got := n.obs.pauses(); !slices.Equal(got, []string{"paused ehr", "resumed ehr"}) {
				t.Errorf("node %d reports %v", i, got)
			}
		}
	})
}

// A node that alone cannot reach the upstream stops the others twice, for about a second,
// and from then on only itself. When it can, it goes on.
func TestSharedByOneThatIsCut(t *testing.T) {
	clustered(t, 3, func(t *testing.T, c *memCluster, nodes []*memNode) {
		cut, others := nodes[0], nodes[1:]
		cut.now(refused)
		longest := time.Duration(0)
		second := func() {
			for range 6 {
				c.add("ehr", false)
			}
			elapse(time.Second)
		}
		for range 4 * 60 {
			second()
		}
		for _, n := range others {
			if got := n.obs.pauses(); len(got) > 4 {
				t.Errorf("a node that reaches the upstream reports %v", got)
			}
		}
		all := attempts(others)
		for i := range all[1:] {
			longest = max(longest, all[i+1].at.Sub(all[i].at))
		}
		if longest > 3*time.Second {
			t.Errorf("the others made no attempt for %s", longest)
		}
		if !cut.paused() || pausedNodes(others) != 0 {
			t.Errorf("paused: %v, and %d of the others", cut.paused(), pausedNodes(others))
		}
		failed := len(cut.to(""))
		if failed > 40 {
			t.Errorf("the node made %d attempts in vain", failed)
		}
		cut.now(always(200))
		elapse(61 * time.Second)
		for range 100 {
			second()
		}
		if cut.paused() || len(cut.to("")) < failed+20 {
			t.Errorf("the node is paused: %v, and has made %d attempts since it could", cut.paused(), len(cut.to(""))-failed)
		}
	})
}

// Without the store, a node pauses for itself and probes by its own schedule. It shares
// the pause when the store is back.
func TestSharedWithoutTheStore(t *testing.T) {
	clustered(t, 2, func(t *testing.T, c *memCluster, nodes []*memNode) {
		a, b := nodes[0], nodes[1]
		reply(nodes, refused)
		a.setAway(true)
		b.setAway(true)
		for range 20 {
			c.add("ehr", false)
		}
		elapse(40 * time.Second)
		for i, n := range nodes {
			if !n.paused() || len(n.to("")) > 60 {
				t.Errorf("node %d is paused: %v, and has made %d attempts", i, n.paused(), len(n.to("")))
			}
			if len(n.obs.problems) == 0 {
				t.Errorf("node %d reports no problem", i)
			}
		}
		a.setAway(false)
		b.setAway(false)
		elapse(2 * time.Minute) // the schedules are one from here
		before := len(attempts(nodes))
		elapse(10 * time.Minute)
		if n := len(attempts(nodes)) - before; n < 9 || n > 11 {
			t.Errorf("%d probes in ten minutes after the store was back", n)
		}
	})
}

// If a node ends while it probes, another one goes on when the probe must have ended.
func TestSharedByOneThatDies(t *testing.T) {
	clustered(t, 2, func(t *testing.T, c *memCluster, nodes []*memNode) {
		reply(nodes, refused)
		for range 20 {
			c.add("ehr", false)
		}
		elapse(500 * time.Millisecond)
		for _, n := range nodes {
			n.d.Apply(Config{Upstreams: []Upstream{{Name: "ehr", Sender: hanging, Timeout: 20 * time.Second}}, Observer: n.obs})
		}
		elapse(2 * time.Second)
		dead, alive := nodes[0], nodes[1]
		if dead.d.Status()[0].InFlight == 0 {
			dead, alive = alive, dead
		}
		if dead.d.Status()[0].InFlight != 1 || alive.d.Status()[0].InFlight != 0 {
			t.Fatalf("%d and %d probes in flight, want one", dead.d.Status()[0].InFlight, alive.d.Status()[0].InFlight)
		}
		dead.setAway(true)
		alive.d.Apply(Config{Upstreams: []Upstream{{Name: "ehr", Sender: alive.sender()}}, Observer: alive.obs})
		alive.now(always(200))
		elapse(20 * time.Second)
		if n := c.count("ehr", queue.Delivered); n != 0 {
			t.Fatalf("%d delivered while the probe may be in flight", n)
		}
		elapse(probeGrace + time.Second)
		if n := c.count("ehr", queue.Delivered); n < 19 {
			t.Errorf("%d delivered after the probe must have ended", n)
		}
	})
}

// A node that is closed while it probes lets another one go on at once.
func TestSharedByOneThatIsClosed(t *testing.T) {
	clustered(t, 1, func(t *testing.T, c *memCluster, nodes []*memNode) {
		closing := nodes[0]
		closing.now(refused)
		for range 20 {
			c.add("ehr", false)
		}
		elapse(500 * time.Millisecond)
		closing.d.Apply(Config{Upstreams: []Upstream{{Name: "ehr", Sender: hanging, Timeout: time.Hour}}, Observer: closing.obs})
		elapse(time.Second)
		if n := closing.d.Status()[0].InFlight; n != 1 {
			t.Fatalf("%d probes in flight", n)
		}
		other := c.join(t, Upstream{})
		synctest.Wait()
		other.now(refused) // after the probe of its start
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := closing.d.Close(ctx); err != nil {
			t.Fatal(err)
		}
		other.now(always(200))
		elapse(5 * time.Second)
		if n := c.count("ehr", queue.Delivered); n != 20 {
			t.Errorf("%d of 20 delivered", n)
		}
	})
}

// A node that starts while an upstream is paused makes a probe at once. It keeps to a
// Retry-After.
func TestSharedWithOneThatStarts(t *testing.T) {
	clustered(t, 1, func(t *testing.T, c *memCluster, nodes []*memNode) {
		nodes[0].now(refused)
		for range 20 {
			c.add("ehr", false)
		}
		elapse(5 * time.Minute)
		nodes[0].now(always(200))
		other := c.join(t, Upstream{})
		elapse(100 * time.Millisecond)
		if n := c.count("ehr", queue.Delivered); n < 15 || pausedNodes(nodes) != 0 {
			t.Fatalf("%d delivered after a node has started, %d nodes paused", n, pausedNodes(nodes))
		}
		other.now(func(string) (Answer, error) { return Answer{Status: 429, RetryAfter: "3600"}, nil })
		nodes[0].now(other.reply)
		c.add("ehr", false)
		elapse(time.Second)
		third := c.join(t, Upstream{})
		elapse(30 * time.Minute)
		if n := len(third.to("")); n != 0 || !third.paused() {
			t.Errorf("%d attempts by a node that has started during a Retry-After", n)
		}
	})
}

// An operator's probe on one node ends a Retry-After on all.
func TestSharedProbeNow(t *testing.T) {
	clustered(t, 3, func(t *testing.T, c *memCluster, nodes []*memNode) {
		reply(nodes, func(string) (Answer, error) { return Answer{Status: 429, RetryAfter: "3600"}, nil })
		for range 20 {
			c.add("ehr", false)
		}
		elapse(time.Second)
		if pausedNodes(nodes) != 3 {
			t.Fatal("not paused")
		}
		reply(nodes, always(200))
		for range 5 {
			c.add("ehr", false)
		}
		nodes[2].d.Probe("ehr")
		elapse(time.Second)
		if pausedNodes(nodes) != 0 || c.count("ehr", queue.Delivered) < 5 {
			t.Errorf("%d nodes paused, %d delivered", pausedNodes(nodes), c.count("ehr", queue.Delivered))
		}
	})
}

// Nodes that have configured another backend under the same name share no pause.
func TestSharedOnlyOfOneBackend(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newMemCluster()
		a, b := c.join(t, Upstream{Identity: "http://old"}), c.join(t, Upstream{Identity: "http://new"})
		a.now(refused)
		for range 100 {
			c.add("ehr", false)
			c.add("ehr", false)
			elapse(100 * time.Millisecond)
		}
		if !a.paused() || b.paused() || len(b.obs.pauses()) != 0 {
			t.Errorf("paused: %v and %v; the other reports %v", a.paused(), b.paused(), b.obs.pauses())
		}
		a.d.Apply(Config{Upstreams: []Upstream{{Name: "ehr", Identity: "http://new", Sender: a.sender()}}, Observer: a.obs})
		elapse(10 * time.Millisecond)
		if a.paused() {
			t.Error("a new backend is paused")
		}
	})
}

// An outage that ends and begins again, with probes and traffic at all nodes, never leaves
// one of them paused.
func TestSharedOutagesAgainAndAgain(t *testing.T) {
	clustered(t, 3, func(t *testing.T, c *memCluster, nodes []*memNode) {
		for round := range 20 {
			reply(nodes, [](func(string) (Answer, error)){refused, always(500), unanswered}[round%3])
			for range 7 * round {
				c.add("ehr", false)
				elapse(time.Duration(round) * 10 * time.Millisecond)
			}
			elapse(time.Duration(round) * pace.MinProbeDelay)
			reply(nodes, always(200))
			elapse(70 * time.Second)
			c.add("ehr", false)
			elapse(time.Second)
			if pausedNodes(nodes) != 0 {
				t.Fatalf("round %d: %d nodes are paused", round, pausedNodes(nodes))
			}
		}
	})
}
