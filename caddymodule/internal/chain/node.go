package chain

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A node has the lines of one node. A line takes about 100 bytes.
type node struct {
	name    string
	begun   int // the number of first lines
	lines   []entry
	first   int64
	last    int64
	from    time.Time
	through time.Time
}

// An entry is a line, without its content.
type entry struct {
	seq     int64
	dropped int64
	link    [2]uint64 // Prev, and the beginning of the MAC
	mac     [16]byte
	at      int64
	place   place
	started bool
	stopped bool
	special bool // whether it may be the second line that follows another
	trusted bool // whether its fields can be those that were written

	parent   int  // the index of the line that it follows, or one of the next two
	followed bool // by a line that is not special
	forked   bool // by a special line
}

// The parents of entries that follow no line that is there.
const (
	noParent = -1
	atBegin  = -2 // the first line of a node
)

func (n *node) add(l Line, at place, trusted bool) {
	n.lines = append(n.lines, entry{
		seq: l.Seq, dropped: l.Dropped, link: [2]uint64{binary.BigEndian.Uint64(l.Link.Prev[:]), l.Link.short()}, mac: l.Link.MAC, at: l.Link.At, place: at,
		started: l.Message == Started, stopped: l.Message == Stopped, special: l.Message == Started || l.Message == LinesDropped, trusted: trusted,
	})
	if !trusted {
		return
	}
	if n.first == 0 || l.Seq < n.first {
		n.first, n.from = l.Seq, l.Link.Time()
	}
	if l.Seq >= n.last {
		n.last, n.through = l.Seq, l.Link.Time()
	}
}

// link finds what is missing or added between the lines of the node, by the line that each line
// follows.
func (t *Trail) link(n *node, o Options) {
	slices.SortStableFunc(n.lines, func(a, b entry) int { return cmp.Compare(a.seq, b.seq) })
	n.dropCopies(t)
	for i := range n.lines {
		e := &n.lines[i]
		e.parent = noParent
		if !e.trusted {
			continue
		}
		before := e.seq - 1 - e.dropped
		parent := n.find(before, e.link[0])
		switch {
		case parent >= 0:
			e.parent = parent
			t.follow(n, &n.lines[parent], e)
		case before == 0 && e.link[0] == 0 && e.started:
			e.parent = atBegin
			if n.begun++; n.begun > 1 {
				t.killed(n, e, 0)
			}
		case before < n.first && o.WithoutBeginning:
		default:
			t.gap(n, i, before)
		}
	}
	t.parallel(n)
}

// dropCopies reports and removes lines that are there twice.
func (n *node) dropCopies(t *Trail) {
	kept := n.lines[:0]
	for _, e := range n.lines {
		copied := false
		for i := len(kept) - 1; i >= 0 && kept[i].seq == e.seq && !copied; i-- {
			if copied = kept[i].mac == e.mac; copied && e.trusted {
				first := kept[i].place
				t.report.find(t.finding(n, e, Added, fmt.Sprintf("the same line is also at %s:%d", t.files[first.file], first.line)))
				kept[i].trusted = true
			}
		}
		if !copied {
			kept = append(kept, e)
		}
	}
	n.lines = kept
}

// find returns the index of the line with a seq whose MAC begins with prev, or -1.
func (n *node) find(seq int64, prev uint64) int {
	i, _ := slices.BinarySearchFunc(n.lines, seq, func(e entry, seq int64) int { return cmp.Compare(e.seq, seq) })
	for ; i < len(n.lines) && n.lines[i].seq == seq; i++ {
		if n.lines[i].link[1] == prev {
			return i
		}
	}
	return -1
}

// follow checks a line that follows another: after a line there is one, and maybe others that
// say why the first one is the last of its process, or was not known to be written.
func (t *Trail) follow(n *node, parent, e *entry) {
	if e.started {
		t.starts(n, parent, e)
	}
	switch {
	case e.special:
		parent.forked = true
	case parent.followed:
		t.report.find(t.finding(n, *e, Forked, "another line follows the same line: two processes have used the same store and node, such as a copy of the store"))
	default:
		parent.followed = true
	}
}

// overlap is how long a process may write lines after another one has continued its trail, until
// it notices that.
const overlap = 2 * queue.AuditDelay

// parallel reports processes that have continued the same trail at the same time. A process that
// was killed has written its last lines before the start of the next.
func (t *Trail) parallel(n *node) {
	newest := make([]int64, len(n.lines)) // the newest time in the lines that follow each line
	children := make(map[int][]int)       // of the lines that several follow
	for i := len(n.lines) - 1; i >= 0; i-- {
		e := &n.lines[i]
		newest[i] = max(newest[i], e.at)
		if e.parent >= 0 {
			newest[e.parent] = max(newest[e.parent], newest[i])
		}
		if e.parent == atBegin || e.parent >= 0 && n.lines[e.parent].forked {
			children[e.parent] = append(children[e.parent], i)
		}
	}
	for _, siblings := range children {
		for _, i := range siblings {
			for _, j := range siblings {
				before, e := &n.lines[i], &n.lines[j]
				if i != j && e.started && (!before.started || before.at <= e.at) && newest[i] > e.at+overlap.Microseconds() {
					t.report.find(t.finding(n, *e, Forked, "the process before this start went on writing: two processes use the same store and node, such as a copy of the store"))
				}
			}
		}
	}
}

// starts notes a start after a process that was not stopped.
func (t *Trail) starts(n *node, parent, e *entry) {
	if !parent.stopped {
		t.killed(n, e, parent.seq)
	}
}

// killed notes that the process before a start has ended without a last line.
func (t *Trail) killed(n *node, e *entry, after int64) {
	t.report.note(Note{Kind: NoteKilled, Node: n.name, Seq: e.seq, File: t.files[e.place.file], Line: e.place.line, Text: fmt.Sprintf(
		"the process before this start was not stopped but ended; lines that it wrote after line %d, in its last seconds, may be missing without a trace", after)})
}

// gap reports the lines that are missing before the line at i, whose predecessor before is not
// there.
func (t *Trail) gap(n *node, i int, before int64) {
	e := n.lines[i]
	lower := int64(0) // the nearest seq that is there
	for j := i - 1; j >= 0; j-- {
		if n.lines[j].seq <= before {
			lower = n.lines[j].seq
			break
		}
	}
	f := t.finding(n, e, Missing, "")
	switch {
	case before == 0:
		f.Kind, f.Text = Added, "a line with number 1 must be that of a start"
	case lower == before:
		f.Seq, f.Through = before, before
		f.Text = "the line before this one is missing; another line has its number"
	default:
		f.Seq, f.Through = lower+1, before
		f.Text = "the lines before this one are missing"
		if f.Seq == f.Through {
			f.Text = "the line before this one is missing"
		}
	}
	if lower == before && t.explained(n, before) {
		return
	}
	t.report.find(f)
}

// explained reports whether a line with the seq was changed, so that nothing is missing.
func (t *Trail) explained(n *node, seq int64) bool {
	i, _ := slices.BinarySearchFunc(n.lines, seq, func(e entry, seq int64) int { return cmp.Compare(e.seq, seq) })
	for ; i < len(n.lines) && n.lines[i].seq == seq; i++ {
		if !n.lines[i].trusted {
			return true
		}
	}
	return false
}

// compare reports the lines at the end that are missing, by the newest one in the store.
func (t *Trail) compare(n *node, head queue.AuditHead) {
	link, ok := ParseLink(head.Chain)
	if !ok || head.Seq == 0 {
		return
	}
	if i := n.find(head.Seq, link.short()); i >= 0 && n.lines[i].mac == link.MAC {
		return
	}
	f := Finding{Node: head.Node, Kind: CutOff, Seq: n.last + 1, Through: head.Seq, Text: "the end is missing: the store knows newer lines"}
	switch {
	case n.last == 0:
		f.Text = "no line of this node is there, and the store knows some"
	case n.last >= head.Seq:
		f.Kind, f.Seq, f.Text = Missing, head.Seq, "the line that the store has as the newest one is not there"
	}
	if t.explained(n, head.Seq) {
		f.Through--
	}
	if f.Seq <= f.Through {
		t.report.find(f)
	}
}

func (t *Trail) finding(n *node, e entry, kind Kind, text string) Finding {
	return Finding{Node: n.name, Kind: kind, Seq: e.seq, Through: e.seq, File: t.files[e.place.file], Line: e.place.line, Text: text}
}
