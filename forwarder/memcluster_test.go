package forwarder

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A memCluster is a memQueue that several nodes share.
type memCluster struct {
	*memQueue

	wakes []func(string)

	pausing sync.Mutex
	pauses  queue.Pauses
	nodes   []*memNode
}

// A memNode is one node of a memCluster, with its dispatcher and its upstream's script.
type memNode struct {
	*memCluster
	*script

	d     *Dispatcher
	obs   *recorder
	heard func(queue.Pauses)
	away  bool // whether the store cannot be reached to change a pause, and no change is heard
}

var errAway = errors.New("the database is away")

func newMemCluster() *memCluster {
	c := &memCluster{memQueue: newMemQueue(), pauses: queue.Pauses{Version: 1, ByKey: make(map[queue.PauseKey]queue.Pause)}}
	c.memQueue.Notify(func(upstream string) {
		c.pausing.Lock()
		wakes := append([]func(string){}, c.wakes...)
		c.pausing.Unlock()
		for _, wake := range wakes {
			wake(upstream)
		}
	})
	return c
}

// join starts a node that delivers to an upstream, whose Sender is the node's script.
func (c *memCluster) join(t *testing.T, up Upstream) *memNode {
	t.Helper()
	n := &memNode{memCluster: c, script: scripted(always(200)), obs: &recorder{}}
	n.d = New(n, Options{Rand: func() float64 { return 0.5 }})
	up.Name, up.Sender, up.Concurrency = "ehr", n.sender(), 1
	n.d.Apply(Config{Upstreams: []Upstream{up}, Observer: n.obs})
	t.Cleanup(func() {
		if err := n.d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

// sender returns the node's script as an upstream that takes a moment, so that all nodes
// have something to send.
func (n *memNode) sender() Sender {
	return senderFunc(func(ctx context.Context, m *Message) (Answer, error) {
		time.Sleep(2 * time.Millisecond)
		return n.Send(ctx, m)
	})
}

func (n *memNode) Notify(wake func(string)) {
	n.pausing.Lock()
	defer n.pausing.Unlock()
	n.wakes = append(n.wakes, wake)
}

func (n *memNode) NotifyPauses(heard func(queue.Pauses)) {
	n.pausing.Lock()
	n.heard = heard
	n.memCluster.nodes = append(n.memCluster.nodes, n)
	all := n.snapshot()
	n.pausing.Unlock()
	heard(all)
}

// snapshot returns the pauses; pausing is held.
func (c *memCluster) snapshot() queue.Pauses {
	all := queue.Pauses{Version: c.pauses.Version, ByKey: make(map[queue.PauseKey]queue.Pause)}
	for k, p := range c.pauses.ByKey {
		p.Version = all.Version
		all.ByKey[k] = p
	}
	return all
}

func (n *memNode) ChangePause(key queue.PauseKey, change func(queue.Pause) queue.Pause) (queue.Pause, error) {
	n.pausing.Lock()
	defer n.pausing.Unlock()
	if n.away {
		return queue.Pause{}, errAway
	}
	before := n.pauses.Of(key)
	before.Version = n.pauses.Version
	after := change(before)
	if after == before {
		return after, nil
	}
	n.pauses.Version++
	after.Version = n.pauses.Version
	n.pauses.ByKey[key] = after
	all := n.snapshot()
	for _, other := range n.nodes {
		if other != n && !other.away {
			go func() { // as a notification comes: a moment later
				time.Sleep(time.Millisecond)
				other.heard(all)
			}()
		}
	}
	return after, nil
}

// setAway cuts the node from the pauses of the others, or ends that.
func (n *memNode) setAway(away bool) {
	n.pausing.Lock()
	n.away = away
	all := n.snapshot()
	n.pausing.Unlock()
	if !away {
		n.heard(all)
	}
}

func (n *memNode) paused() bool { return n.d.Status()[0].Paused }
