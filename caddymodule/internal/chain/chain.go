package chain

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// The messages of the lines that a Chain writes of itself, and of the last line of a process.
const (
	Started      = "started"
	Stopped      = "stopped"
	LinesDropped = "lines_dropped"
)

// stuckAfter is how long a line may take to be written before other lines no longer wait for it.
const stuckAfter = time.Second

// A Write writes a line of the audit trail, and reports whether every log has taken it.
type Write func(at time.Time, message string, fields []zap.Field) (written bool)

// A Chain adds to each line of the audit trail the fields that prove that the trail is whole. It
// belongs to a store, and outlives configurations. It is safe for concurrent use.
type Chain struct {
	version string
	key     func() seal.AuditKey

	mu      sync.Mutex
	node    string
	seq     int64 // of the newest line that was written
	newest  Link
	begun   bool  // whether this process has written a line
	missing int64 // lines after the newest one that were not written
	turn    *turn // of the line that is being written; nil if there is none
}

// A turn is held while a line is written, so that the lines are in order.
type turn struct {
	lines int64 // 1, or 0 if only missing lines are accounted for
	over  chan struct{}
}

// New returns a chain for a version of Scribegate, whose lines have the MAC of the key.
func New(version string, key func() seal.AuditKey) *Chain {
	return &Chain{version: version, key: key, node: ownName()}
}

// ownName returns a name that no other process has.
func ownName() string {
	host, _ := os.Hostname()
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails; without randomness the process ends
	return host + "~" + hex.EncodeToString(random[:])
}

// Newest implements queue.AuditTrail.
func (c *Chain) Newest() queue.AuditHead {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := queue.AuditHead{Node: c.node, Seq: c.seq}
	if c.seq > 0 {
		h.Chain = c.newest.String()
	}
	return h
}

// Continue implements queue.AuditTrail.
func (c *Chain) Continue(head queue.AuditHead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abandon()
	link, ok := ParseLink(head.Chain)
	if head.Node == "" || !ok {
		head.Seq, link = 0, Link{}
	}
	if head.Node == "" {
		head.Node = ownName()
	}
	c.node, c.seq, c.newest, c.begun = head.Node, head.Seq, link, false
}

// Append writes a line. If lines before it were not written, a line with their number comes
// first. If a line cannot be written, it is counted.
func (c *Chain) Append(at time.Time, message string, fields []zap.Field, write Write) {
	t := c.wait(1)
	written := c.account(t, write) && c.put(t, at, message, fields, 0, write)
	c.end(t, written)
}

// Drop counts n lines that were not written, and writes a line with their number.
func (c *Chain) Drop(n int, write Write) {
	t := c.wait(0)
	c.mu.Lock()
	c.missing += int64(n)
	c.mu.Unlock()
	c.account(t, write)
	c.end(t, true)
}

// wait waits until no other line is being written, or until one has taken stuckAfter. That one
// then counts as not written, although it may be written later.
func (c *Chain) wait(lines int64) *turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.turn != nil {
		other := c.turn
		c.mu.Unlock()
		timer := time.NewTimer(stuckAfter)
		select {
		case <-other.over:
		case <-timer.C:
		}
		timer.Stop()
		c.mu.Lock()
		if c.turn == other {
			c.abandon()
		}
	}
	c.turn = &turn{lines: lines, over: make(chan struct{})}
	return c.turn
}

// abandon ends the turn of a line that is being written. c.mu is held.
func (c *Chain) abandon() {
	if c.turn != nil {
		c.missing += c.turn.lines
		close(c.turn.over)
		c.turn = nil
	}
}

// end ends a turn, if it has not been abandoned.
func (c *Chain) end(t *turn, written bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != t {
		return
	}
	if written {
		t.lines = 0
	}
	c.abandon()
}

// account writes the line of a start, if it is due, and the line about missing lines, if there
// are any. It reports whether further lines can be written.
func (c *Chain) account(t *turn, write Write) bool {
	c.mu.Lock()
	begun, n := c.begun, c.missing
	c.mu.Unlock()
	if !begun && !c.put(t, time.Now(), Started, []zap.Field{zap.String("version", c.version)}, 0, write) {
		return false
	}
	return n == 0 || c.put(t, time.Now(), LinesDropped, []zap.Field{zap.Int64(fieldDropped, n)}, n, write)
}

// put writes a line behind the newest one, and reports whether that succeeded. It accounts for
// dropped lines.
func (c *Chain) put(t *turn, at time.Time, message string, fields []zap.Field, dropped int64, write Write) bool {
	c.mu.Lock()
	held, node, seq, prev := c.turn == t, c.node, c.seq+dropped+1, c.newest.next()
	c.mu.Unlock()
	if !held {
		return false
	}
	at = at.Truncate(time.Microsecond)
	all, link := c.link(at, message, fields, node, seq, prev)
	if !write(at, message, all) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn == t { // otherwise the lines after this one do not follow it
		c.seq, c.newest, c.begun = seq, link, true
		c.missing -= dropped
	}
	return true
}

// link returns the fields of a line, and its link.
func (c *Chain) link(at time.Time, message string, fields []zap.Field, node string, seq int64, prev [prevSize]byte) ([]zap.Field, Link) {
	key := c.key()
	link := Link{Key: key.ID(), Prev: prev, At: at.UnixMicro()}
	all := make([]zap.Field, 0, len(fields)+3)
	members := make([]member, 0, len(fields)+4)
	add := func(f zap.Field) {
		f = plain(f)
		if m, written := memberOf(f); written {
			all, members = append(all, f), append(members, m)
		}
	}
	for _, f := range fields {
		add(f)
	}
	add(zap.String(fieldNode, node))
	add(zap.Int64(fieldSeq, seq))
	digest := digestOf(append(members, member{fieldMessage, message, true}, member{fieldChain, link.begin(), true}))
	link.MAC = key.MAC(digest[:])
	return append(all, zap.String(fieldChain, link.String())), link
}

// Interface guards
var _ queue.AuditTrail = (*Chain)(nil)
